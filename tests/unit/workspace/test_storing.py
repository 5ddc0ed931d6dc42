from __future__ import annotations

from typing import Any

import pytest

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import OutcomeUnknown, Unit
from crm_core.workspace.storing import commit


class Broken:
    """A store whose connection breaks while it commits."""

    async def commit(self, tenant: str, unit: Unit) -> Any:
        raise OutcomeUnknown


async def test_an_unknown_outcome_is_unavailable_storage() -> None:
    """A write with an unknown outcome is not reported as failed: the message says to check before a repeat."""
    with pytest.raises(StorageUnavailable) as caught:
        await commit(Broken(), "north", Unit(now=0))  # type: ignore[arg-type]
    assert caught.value.detail == (
        "The connection to the storage broke during the write. Check whether it was done, then repeat it."
    )
    assert caught.value.retry_after == 1

from __future__ import annotations

from typing import Any

import pytest

from crm_core.access.storing import commit
from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import OutcomeUnknown, Unit


class Broken:
    """A store whose connection breaks while it commits."""

    async def commit(self, tenant: str, unit: Unit) -> Any:
        raise OutcomeUnknown


async def test_an_unknown_outcome_is_told_as_storage_trouble() -> None:
    """Nobody is told that a write failed which may be there: look first, then repeat."""
    with pytest.raises(StorageUnavailable) as caught:
        await commit(Broken(), "north", Unit(now=0))  # type: ignore[arg-type]
    assert "look whether" in caught.value.detail

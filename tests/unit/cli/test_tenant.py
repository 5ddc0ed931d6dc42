from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import SetupError
from crm_tinydb.storage import TinyDBBackend


def test_a_tenant_whose_store_cannot_be_created_leaves_an_entry_and_says_so(
    config: Path, crm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: the entry of keys.yaml, which came first, is named, and the same command finishes it."""

    async def full(self: TinyDBBackend, tenant: str) -> None:
        raise SetupError([f"tenant {tenant} cannot be created in /tenants: No space left on device"])

    with monkeypatch.context() as patched:
        patched.setattr(TinyDBBackend, "create", full)
        ran = crm("tenant", "create", "acme")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[1:] == [
        f"{config / 'keys.yaml'} has an entry for each name already: run the command again to finish it"
    ]
    assert crm("tenant", "create", "acme").out == "created tenant acme\n"


@pytest.mark.usefixtures("config")
def test_a_taken_name_is_refused_alone(crm: Callable[..., Any]) -> None:
    """No entry was added then, and nothing is left to finish."""
    crm("tenant", "create", "acme")
    ran = crm("tenant", "create", "acme")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)

"""What health says of the files that an admin edits, and of attempts that all failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_core.model.log import LogEntry, Status
from crm_core.plugin.storage import Unit
from crm_core.sync.health import HealthReports
from sync_world import World

Worlds = Callable[..., Awaitable[World]]
TEXT = "the operator's log and crm config check say why"


class Edited:
    """A configuration whose newest edits were refused: ``error`` of keys.yaml, ``others`` of the other files."""

    def __init__(self, configured: Any, error: str | None, *others: str) -> None:
        self._configured = configured
        self.roster_error = error
        self.errors = lambda: others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._configured, name)


async def none_orphaned(tenant: str) -> list[str]:
    return []


async def test_keys_are_shown_newest_first_with_their_dates(worlds: Worlds) -> None:
    """The schemes are those of the tenant's entry, if it names any."""
    more = f", not_after: 2027-02-01T00:00:00Z}}, {{version: 3, secret: 'hex:{'42' * 32}'"
    world = await worlds(key=more, tenant=", schemes: [rfc9421, crm-sync-v1]")
    found = await world.services.health.report("northwind")
    assert [(key["key_version"], key["not_after"]) for key in found["accepted_keys"]] == [
        (3, None),
        (2, "2027-02-01T00:00:00.000Z"),
    ]
    assert (found["schemes"], found["expected_key"]) == (["crm-sync-v1", "rfc9421"], "northwind:3")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("keys.yaml:5:17: secret of contoso; fix it\nkeys.yaml:6:1: other", "keys.yaml:5:17, keys.yaml:6:1"),
        ("The file cannot be read.", "keys.yaml"),
        (
            "\n".join(f"keys.yaml:{line}:1: wrong" for line in range(1, 13)),
            ", ".join(f"keys.yaml:{line}:1" for line in range(1, 11)),
        ),
    ],
)
async def test_a_refused_edit_is_shown_by_its_places(world: World, error: str, shown: str) -> None:
    """The first ten of them, without words, which may be of another tenant."""
    edited = Edited(world.services.configured, error)
    found = await HealthReports(world.services._sync, edited, none_orphaned).report("northwind")
    assert found["roster"]["error"] == f"{shown}: {TEXT}"
    assert found["reasons"] == [
        f"The newest edit of keys.yaml was not loaded; the version before it is in effect: {shown}: {TEXT}"
    ]


async def test_refused_edits_of_the_catalog_and_of_roles_are_reasons(world: World) -> None:
    """Each file with its places; the roster is not concerned."""
    lines = ("modules.yaml:1:10: expected modules", "roles.yaml:3:5: no such key", "roles.yaml:9:1: unknown member")
    edited = Edited(world.services.configured, None, *lines)
    found = await HealthReports(world.services._sync, edited, none_orphaned).report("northwind")
    assert (found["status"], found["roster"]["error"]) == ("degraded", None)
    before = "was not loaded; the version before it is in effect"
    assert found["reasons"] == [
        f"The newest edit of modules.yaml {before}: modules.yaml:1:10: {TEXT}",
        f"The newest edit of roles.yaml {before}: roles.yaml:3:5, roles.yaml:9:1: {TEXT}",
    ]


@pytest.mark.parametrize(("status", "code"), [("failed", None), ("failed", "internal_error"), ("rejected", None)])
async def test_attempts_that_all_failed_are_a_reason(world: World, status: Status, code: str | None) -> None:
    """Refused by a check or failed by the server; one without a code counts as unknown."""
    entries = tuple(
        LogEntry(
            id=f"01900000-0000-7000-8000-{number:012x}", received_at="2026-11-24T02:00:00.000Z", instance="eu1",
            tenant="northwind", request_id=f"r{number}", signature_result="valid", status=status, error_code=code,
        )
        for number in range(5)
    )  # fmt: skip
    await world.backend.commit("northwind", Unit(now=1, entries=entries))
    found = await world.services.health.report("northwind")
    assert found["reasons"] == [
        f"The last 5 verified pushes all failed ({code or 'unknown'}). See the sync log for the reasons."
    ]

"""Reading the revisions of a section, restoring one, and resetting the version floor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_core.errors import (
    InvalidCursor,
    InvalidPayload,
    ModuleBlocked,
    NotFound,
    StaleVersion,
    StorageUnavailable,
)
from crm_core.model.diff import Change
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import OutcomeUnknown, Unit
from crm_core.sync.revisions import Applied
from sync_world import World, overtaken

LATER = "2026-11-24T02:01:00.000Z"
SMTP = {"host": "smtp.example.com", "port": 587, "security": "starttls", "username": "u", "password": "hunter2-hunter2"}
VALIDATOR = """
from crm_core.errors import Finding
from crm_core.plugin import hookimpl

@hookimpl
def crm_validate_payload(section, part, context):
    return [Finding("/roles", "house_rule", "Think again.", warning=True)]
"""
Worlds = Callable[..., Awaitable[World]]
UNKNOWN = "Unknown section {}. Known sections: branding, features, smtp, workspace."


async def pushed(world: World, data: Any, kind: str = "branding", **members: Any) -> Any:
    return await world.services.receiver.receive(world.push(data, kind=kind, **members))


async def restored(world: World, revision: int, section: str = "branding", **how: Any) -> Any:
    how = {"actor": "user:1", "request_id": "r", **how}
    return await world.services.history.restore("northwind", section, revision, **how)


async def titles(world: World, *titles: str) -> None:
    """Push branding with each title, and move the clock by a minute."""
    for title in titles:
        await pushed(world, {"title": title})
    world.clock.forward(60)


async def test_the_revisions_of_a_section_are_paged(world: World) -> None:
    """Newest first, those of one section; a cursor is of one tenant's section."""
    await world.backend.create("contoso")
    await titles(world, "One", "Two")
    await pushed(world, {"locale": "de-DE"}, kind="workspace")
    await titles(world, "Three")
    history = world.services.history
    first, cursor = await history.page("northwind", "branding", limit=2, cursor=None)
    last, end = await history.page("northwind", "branding", limit=2, cursor=cursor)
    assert ([one.revision for one in first], [one.revision for one in last], end) == ([4, 2], [1], None)
    for tenant, section in (("contoso", "branding"), ("northwind", "workspace")):
        with pytest.raises(InvalidCursor):
            await history.page(tenant, section, limit=2, cursor=cursor)


async def test_one_revision(world: World) -> None:
    """With its data, its changes, and the push that made it; one that is not stored is named."""
    await titles(world, "One", "Two")
    push = world.push({"title": "Three"})
    await world.services.receiver.receive(push)
    found = await world.services.history.revision("northwind", "branding", 3)
    assert found == Applied(
        section="branding", revision=3, version=3, applied_at=LATER, request_id=push.request_id, actor="key:2",
        payload_type="branding", key_version=2, changes=(Change("/branding/title", "Two", "Three"),),
        data={"title": "Three"}, fingerprint=found.fingerprint,
    )  # fmt: skip
    assert len(found.fingerprint) >= 32
    with pytest.raises(NotFound) as refused:
        await world.services.history.revision("northwind", "branding", 4)
    assert refused.value.detail == "The history of branding has no revision 4. Its list shows the stored ones."


@pytest.mark.parametrize(("section", "named"), [("nope", "'nope'"), ("\u00e9" * 70, "'" + r"\xe9" * 64 + "'")])
async def test_an_unknown_section_is_named(world: World, section: str, named: str) -> None:
    """In ASCII and cut off, with the known ones."""
    history = world.services.history
    for call in (
        history.page("northwind", section, limit=1, cursor=None),
        history.revision("northwind", section, 1),
        history.reset_version("northwind", section),
    ):
        with pytest.raises(NotFound) as refused:
            await call
        assert refused.value.detail == UNKNOWN.format(named)


async def test_a_restore_is_a_new_revision(world: World) -> None:
    """The answer, the log, the history and the change log have it; the version and its floor stay."""
    seen: list[LogEntry] = []
    world.services.observers.append(lambda entry, _: seen.append(entry))
    await titles(world, "One", "Two")
    receipt = await restored(world, 1, client_request_id="theirs", source="192.0.2.7")
    change = Change("/branding/title", "Two", "One")
    entry, *_ = await world.entries()
    assert msgspec.structs.asdict(receipt) == {
        "status": "applied", "request_id": "r", "tenant": "northwind", "type": "branding", "version": 1,
        "applied_at": LATER, "revision": 3, "changes": [change], "warnings": [], "modules": receipt.modules,
        "log_head": receipt.log_head,
    }  # fmt: skip
    assert (receipt.modules["customers"], receipt.log_head.seq) == ("available", 3)
    assert receipt.log_head.hash == entry.entry_hash
    expected = LogEntry(
        id=entry.id, received_at=LATER, instance="eu1", tenant="northwind", payload_type="branding", payload_version=1,
        mode="apply", signature_result="unchecked", status="applied", request_id="r", client_request_id="theirs",
        source_ip="192.0.2.7", duration_ms=0, revision=3, changes_count=1, actor="user:1",
    )  # fmt: skip
    assert seen[-1] == expected
    chained = {"seq": 3, "prev_hash": entry.prev_hash, "entry_hash": entry.entry_hash}
    assert entry == msgspec.structs.replace(expected, **chained)
    assert await world.services.history.revision("northwind", "branding", 3) == Applied(
        section="branding", revision=3, version=1, applied_at=LATER, request_id="r", actor="user:1",
        payload_type="branding", changes=(change,), data={"title": "One"},
    )  # fmt: skip
    section = (await world.services.views.of("northwind")).sections["branding"]
    assert (section.version, section.floor(()), section.history) == (2, 2, (1, 2, 3))


async def test_a_restore_of_what_is_already_so_is_a_revision_too(world: World) -> None:
    """It says that a person chose this state."""
    await titles(world, "One")
    receipt = await restored(world, 1)
    assert (receipt.status, receipt.revision, receipt.changes) == ("applied", 2, [])


async def test_a_preview_of_a_restore_changes_nothing(world: World) -> None:
    """It shows the changes, and is logged as a preview without a revision."""
    seen: list[LogEntry] = []
    world.services.observers.append(lambda entry, _: seen.append(entry))
    await titles(world, "One", "Two")
    receipt = await restored(world, 1, preview=True)
    assert (receipt.status, receipt.revision, receipt.applied_at) == ("previewed", None, None)
    assert receipt.changes == [Change("/branding/title", "Two", "One")]
    entry, *_ = await world.entries()
    assert (entry.mode, entry.status, entry.revision, entry.changes_count) == ("preview", "previewed", None, 1)
    assert (entry.id, receipt.log_head.hash) == (seen[-1].id, entry.entry_hash)
    assert (await world.services.views.of("northwind")).revision == 2


@pytest.mark.parametrize("preview", [False, True])
async def test_a_unit_of_a_restore_is_of_its_time(world: World, *, preview: bool) -> None:
    """The store removes expired claims by that time."""
    await titles(world, "One")
    units = overtaken(world, rounds=0)
    await restored(world, 1, preview=preview)
    assert [unit.now for unit in units] == [int(world.clock().timestamp())]


async def test_a_restore_is_made_again_after_another_change(world: World) -> None:
    """A change in the meantime is no failure, until there were a hundred."""
    await titles(world, "One")
    units = overtaken(world, rounds=99)
    assert (await restored(world, 1)).status == "applied"
    assert len(units) == 100
    units = overtaken(world, rounds=100)
    with pytest.raises(StorageUnavailable, match=r"^Too many changes at the same time\. Try again\.$") as refused:
        await restored(world, 1)
    assert (len(units), refused.value.retry_after) == (100, 1)


async def test_a_restore_drops_what_a_push_would(worlds: Worlds) -> None:
    """The revision that exceeds the history, the hash of its payload, and versions of revoked keys."""
    world = await worlds(sync="history_keep: 1")
    await pushed(world, {"title": "T"})
    units = overtaken(world, rounds=0)
    await restored(world, 1)
    assert ([delete.id for delete in units[0].deletes], len(units[0].releases)) == (["0000000000000001-branding"], 1)
    assert (await world.services.views.of("northwind")).sections["branding"].versions == {2: 1}
    world = await worlds(key=", revoked: true")
    await restored(world, 2)
    assert (await world.services.views.of("northwind")).sections["branding"].versions == {}


async def test_a_restore_keeps_the_current_secret(world: World) -> None:
    """As long as it would be sent to the same place; else it must be sent again."""
    await pushed(world, SMTP, kind="smtp")
    await pushed(world, {"from_name": "N"}, kind="smtp", strategy="merge")
    receipt = await restored(world, 1, section="smtp")
    assert receipt.changes == [Change("/smtp/from_name", "N", None)]
    section = (await world.services.views.of("northwind")).sections["smtp"]
    assert (section.data["password"], list(section.sealed)) == ({"set": True}, ["/password"])
    await pushed(world, {"host": "other.example.com", "password": "another-password"}, kind="smtp", strategy="merge")
    with pytest.raises(InvalidPayload) as refused:
        await restored(world, 1, section="smtp")
    (finding,) = refused.value.errors
    assert (finding.pointer, finding.code) == ("/smtp/password", "password_required")


async def test_a_restore_follows_the_rules_of_today(worlds: Worlds, tmp_path: Path) -> None:
    """The warnings of every check are in the answer; what the sync policy has blocked since is refused."""
    world = await worlds(plugin=VALIDATOR)
    await pushed(world, {"roles": {"agent": {"grant": ["*.fly"]}}}, kind="features")
    await pushed(world, {"modules": {"deals": {"title": "Chances"}}}, kind="features")
    receipt = await restored(world, 1, section="features")
    assert [(one["pointer"], one["code"]) for one in receipt.warnings] == [
        ("/features/roles/agent/grant/0", "no_effect"),
        ("/features/roles", "house_rule"),
    ]
    (tmp_path / "config" / "modules.yaml").write_text("sync_policy: {blocked_modules: [deals]}\n")
    world = await worlds()
    with pytest.raises(ModuleBlocked):
        await restored(world, 2, section="features")


async def test_a_revision_that_its_type_can_no_longer_read_is_refused(world: World) -> None:
    """The refusal names the section and what to restore instead."""
    await titles(world, "One", "Two")
    revision = await world.services.history.revision("northwind", "branding", 1)
    newer = msgspec.structs.replace(revision, schema=2).put()
    await world.backend.commit("northwind", Unit(now=1, puts=(newer,)))
    with pytest.raises(InvalidPayload) as refused:
        await restored(world, 1)
    (finding,) = refused.value.errors
    assert (finding.pointer, finding.code, finding.message) == (
        "/branding", "section_unreadable", refused.value.detail
    )  # fmt: skip
    assert refused.value.detail.startswith("The payload type can no longer read this revision.")
    assert refused.value.detail.endswith("Restore a newer one.")


async def test_a_version_floor_is_reset(world: World) -> None:
    """The old floor is returned, and every version is accepted; the section stays as it is."""
    await pushed(world, {"title": "T"}, version=900)
    with pytest.raises(StaleVersion):
        await pushed(world, {"title": "U"}, version=1)
    before = (await world.services.views.of("northwind")).sections["branding"]
    units = overtaken(world, rounds=99)
    assert await world.services.history.reset_version("northwind", "branding") == 900
    assert (len(units), units[-1].now) == (100, int(world.clock().timestamp()))
    workspace = await world.services.views.of("northwind")
    assert workspace.revision == 2
    assert workspace.sections["branding"] == msgspec.structs.replace(before, versions={})
    assert (await pushed(world, {"title": "U"}, version=1)).status == "applied"


async def test_no_floor_of_an_empty_section_is_reset(world: World) -> None:
    """It has none."""
    with pytest.raises(NotFound) as refused:
        await world.services.history.reset_version("northwind", "branding")
    assert refused.value.detail == "Nothing was applied to branding yet, so it accepts every version."


async def test_a_reset_ends_after_a_hundred_other_changes(world: World) -> None:
    """With the time after which to try again; it only counts at the revision that it has seen."""
    await pushed(world, {"title": "T"})
    units = overtaken(world, rounds=100)
    with pytest.raises(StorageUnavailable, match=r"^Too many changes at the same time\. Try again\.$") as refused:
        await world.services.history.reset_version("northwind", "branding")
    assert (len(units), refused.value.retry_after) == (100, 1)
    assert [expected.revision for expected in units[0].expect] == [1]  # type: ignore[union-attr]


async def test_a_restore_of_unknown_outcome_is_unavailable_storage(world: World) -> None:
    """Whether it was done is to be checked: it is no fault of the server's code."""
    await titles(world, "One", "Two")
    world.backend.before = OutcomeUnknown()
    with pytest.raises(StorageUnavailable):
        await restored(world, 1)
    world.backend.before = OutcomeUnknown()
    with pytest.raises(StorageUnavailable):
        await world.services.history.reset_version("northwind", "branding")

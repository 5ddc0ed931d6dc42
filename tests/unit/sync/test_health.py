"""Sync health: the report and the row of a tenant, with its reasons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import CrmError, StorageUnavailable
from crm_core.model.keys import TenantRoster
from crm_core.plugin.query import Tally
from crm_core.plugin.storage import Document, StorageContext, Unit
from crm_core.sync.health_reasons import staleness
from crm_core.sync.section_facts import digest_of
from crm_core.testing.storage import put
from crm_core.workspace.section import Acceptance
from sync_world import KEY, World

Worlds = Callable[..., Awaitable[World]]
START = "2026-11-24T02:00:00.000Z"
FORGED = (2, b"f" * 32)
ABSENT = "counts", "last_success", "last_failure", "log_head", "sections"  # without a store


async def pushed(world: World, **push: Any) -> CrmError | None:
    """Push, and return the refusal."""
    try:
        await world.services.receiver.receive(world.push(**push))
    except CrmError as error:
        return error
    return None


def attempt(number: int, at: str, **known: Any) -> dict[str, Any]:
    """An attempt as health shows it."""
    named = {"type": "branding", "version": number, "key_version": 2, "error_code": None, "error_message": None}
    return {"at": at, "request_id": f"request-{number}", **named, **known}


async def test_the_report_of_a_tenant(worlds: Worlds) -> None:
    """Every member: keys, sections, the last success and failure, the counts of a day, the head of the log."""
    world = await worlds(key=", types: [branding], not_before: 2026-11-01T00:00:00Z, schemes: [crm-sync-v1]")
    health = world.services.health
    assert await pushed(world, data={"title": "Old"}) is None
    world.clock.forward(86_500)
    assert await pushed(world, data={"title": "N"}) is None
    assert await pushed(world, data={"title": "N"}) is None  # unchanged
    refusal = await pushed(world, data={"title": 5})
    assert refusal is not None
    assert await pushed(world, data={}, key=FORGED) is not None
    later = "2026-11-25T02:01:40.000Z"
    entries = await world.entries()
    head = max((entry for entry in entries if entry.seq is not None), key=lambda entry: entry.seq)
    found = await health.report("northwind")
    key = {
        "key_version": 2, "state": "active", "not_before": "2026-11-01T00:00:00.000Z", "not_after": None,
        "fingerprint": "sha256:630dcd2966c43366", "kind": "secret", "schemes": ["crm-sync-v1"], "types": ["branding"],
        "last_used_at": later, "uses": 4,
    }  # fmt: skip
    section = {
        "version": 3, "min_version": 4, "revision": 2, "applied_at": later, "request_id": "request-3",
        "sha256": "c5adbb0759dde927707a90778ff97b79ce0c6781b6cbecbdab3703078f4a0f0a",
    }  # fmt: skip
    found["sections"]["branding"]["request_id"] = "request-3"
    assert found == {
        "status": "ok", "reasons": [], "enabled": True, "instance": "eu1", "tenant": "northwind",
        "expected_key": "northwind:2", "accepted_keys": [key],
        "schemes": ["crm-sync-v1", "rfc9421", "standard-webhooks"],
        "payload_types": ["branding", "combined", "features", "smtp", "workspace"],
        "skew_seconds": 300, "server_time": later, "roster": {"loaded_at": START, "error": None},
        "sections": {"branding": section}, "last_success": attempt(3, later),
        "last_failure": attempt(4, later, error_code="invalid_payload", error_message=refusal.detail),
        "counts": {"24h": {"applied": 1, "unchanged": 1, "rejected": 1, "failed": 0, "unverified": 1}},
        "log_head": {"seq": 4, "hash": head.entry_hash},
    }  # fmt: skip
    assert await health.report_anyway("northwind") == await health.report("northwind")
    assert await health.row("northwind") == {
        "tenant": "northwind", "status": "ok", "reasons": [], "expected_key": "northwind:2",
        "last_success": attempt(3, later), "revision": 3,
    }  # fmt: skip


async def test_the_report_of_a_tenant_without_a_store(worlds: Worlds) -> None:
    """If the store cannot be read, the same members, null where only the store knows; operators read why."""
    world = await worlds()
    health = world.services.health
    await pushed(world, data={"title": "N"})
    whole = await health.report("northwind")
    await world.backend.close()
    with pytest.raises(StorageUnavailable):
        await health.report("northwind")
    known = {name: value for name, value in whole.items() if name not in ABSENT}
    known["accepted_keys"] = [{**known["accepted_keys"][0], "last_used_at": None, "uses": None}]
    counts = dict.fromkeys(("applied", "unchanged", "rejected", "failed", "unverified"))
    assert await health.report_anyway("northwind") == {
        **known, "status": "degraded", "reasons": ["The storage is not open."], "sections": {}, "last_success": None,
        "last_failure": None, "counts": {"24h": counts}, "log_head": None,
    }  # fmt: skip
    assert await health.row("northwind") == {
        "tenant": "northwind", "status": "degraded", "reasons": ["The storage is not open."],
        "expected_key": "northwind:2", "last_success": None, "revision": None,
    }  # fmt: skip


async def test_a_receiver_that_is_off_says_so_without_a_store(worlds: Worlds) -> None:
    """It is disabled first of all, and the reason of the store follows."""
    world = await worlds(tenant=", sync: disabled")
    off = "The receiver is off for this tenant: it has no entry in keys.yaml, or one that says sync: disabled."
    assert (await world.services.health.report("northwind"))["reasons"] == [off]
    await world.backend.close()
    found = await world.services.health.report_anyway("northwind")
    assert (found["status"], found["enabled"]) == ("disabled", False)
    assert found["reasons"] == [off, "The storage is not open."]
    assert (await world.services.health.row("northwind"))["status"] == "disabled"  # type: ignore[index]


async def test_an_instance_whose_receiver_is_off(worlds: Worlds) -> None:
    """All tenants are disabled, for the reason in instance.yaml."""
    world = await worlds(sync="enabled: false")
    found = await world.services.health.report("northwind")
    assert (found["status"], found["enabled"]) == ("disabled", False)
    assert found["reasons"] == ["The receiver is off for the whole instance: sync.enabled is false in instance.yaml."]


async def test_a_tenant_without_an_active_key(worlds: Worlds) -> None:
    """It is degraded, and no key is expected; without a store too."""
    world = await worlds(key=", not_after: 2026-11-02T00:00:00Z")
    reason = "No key is active now, so every push is refused. Add a key to keys.yaml, or fix the dates of one."
    found = await world.services.health.report("northwind")
    assert (found["status"], found["reasons"], found["expected_key"]) == ("degraded", [reason], None)
    assert found["accepted_keys"][0]["state"] == "expired"
    assert (found["accepted_keys"][0]["uses"], found["accepted_keys"][0]["last_used_at"]) == (0, None)
    await world.backend.close()
    assert (await world.services.health.report_anyway("northwind"))["reasons"] == ["The storage is not open.", reason]
    row = await world.services.health.row("northwind")
    assert row is not None
    assert row["reasons"] == ["The storage is not open.", reason]


async def test_a_store_that_accepts_no_writes_is_a_reason(world: World) -> None:
    """The state of the store is one of the reasons."""
    tenant = await world.backend.open_tenants.get("northwind")
    tenant.reasons.append("log-1.seg is empty")
    found = await world.services.health.report("northwind")
    assert (found["status"], found["reasons"]) == (
        "degraded", ["The tenant is read-only: log-1.seg is empty."]
    )  # fmt: skip


async def test_five_refused_pushes_are_a_reason(world: World) -> None:
    """Four are none; a success between them ends it."""
    for _ in range(4):
        await pushed(world, data={"title": 5})
    assert (await world.services.health.report("northwind"))["status"] == "ok"
    await pushed(world, data={}, kind="features", mode="bad")
    found = await world.services.health.report("northwind")
    codes = "invalid_envelope, invalid_payload"
    assert (found["status"], found["reasons"]) == (
        "degraded", [f"The last 5 verified pushes all failed ({codes}). See the sync log for the reasons."]
    )  # fmt: skip
    assert found["last_failure"]["error_code"] == "invalid_envelope"
    await pushed(world, data={"title": "N"})
    assert (await world.services.health.report("northwind"))["status"] == "ok"


async def test_a_clock_that_stepped_back_is_a_reason(world: World) -> None:
    """More than five seconds behind its own log, not five."""
    await pushed(world, data={"title": "N"})
    world.clock.forward(-5)
    assert (await world.services.health.report("northwind"))["reasons"] == []
    world.clock.forward(-0.001)
    found = await world.services.health.report("northwind")
    assert (found["status"], found["reasons"]) == (
        "degraded",
        [
            (
                "This server's clock has stepped back: it is behind its own log. Check its time service. If the clock "
                "was ahead before and is right now, pushes with the keys used meanwhile are refused as possible "
                "replays: give the platform a new key with crm keys rotate northwind."
            )
        ],
    )


async def test_signatures_that_never_match_are_named_without_a_status(world: World) -> None:
    """Five forged pushes say which key to compare, and turn no healthy tenant red; a verified one ends it."""
    for _ in range(5):
        await pushed(world, data={}, key=FORGED)
    found = await world.services.health.report("northwind")
    assert found["status"] == "ok"
    assert found["reasons"] == [
        (
            "The newest 5 attempts had signatures that do not match northwind:2, and none was verified since. If they "
            "are the platform's, compare the key's fingerprint on both sides, or find the cause with crm explain."
        )
    ]
    world.clock.forward(1)
    await pushed(world, data={"title": "N"})
    assert (await world.services.health.report("northwind"))["reasons"] == []


async def test_a_verified_push_among_the_forged_ones_counts(world: World) -> None:
    """All five must be newer than the last verified attempt."""
    for key in (FORGED, (2, KEY), *[FORGED] * 4):
        world.clock.forward(1)
        await pushed(world, data={"title": "N"}, key=key)
    assert (await world.services.health.report("northwind"))["reasons"] == []


async def test_all_keys_that_never_match_are_named(worlds: Worlds) -> None:
    """In the order of their versions."""
    world = await worlds(key=f"}}, {{version: 3, secret: 'hex:{'ab' * 32}'")
    for version in (3, 2, 3, 2, 2):
        await pushed(world, data={}, key=(version, b"f" * 32))
    (reason,) = (await world.services.health.report("northwind"))["reasons"]
    assert "that do not match northwind:2, northwind:3, and none" in reason


async def test_the_newest_failed_verification_is_quoted(world: World) -> None:
    """If some of the five failed for another reason, the newest says why."""
    for _ in range(4):
        await pushed(world, data={}, key=FORGED)
    world.clock.forward(1)
    refused = await pushed(world, data={}, key=(9, b"f" * 32))
    assert refused is not None
    assert (await world.services.health.report("northwind"))["reasons"] == [
        (
            "The newest 5 signed attempts failed verification, and none has passed since. If they are the platform's, "
            f"this is why: {refused.detail}"
        )
    ]


async def test_a_key_for_sections_sees_those_alone(worlds: Worlds) -> None:
    """The report of a signed request leaves out what its key may not push."""
    world = await worlds()
    await pushed(world, data={"title": "N"})
    await pushed(world, kind="workspace", data={"locale": "de-DE"})
    key = world.services.configured.roster.of("northwind").keys[2]
    limited = type(key)(version=2, material=key.material, types=frozenset({"workspace"}))
    assert list((await world.services.health.report("northwind", limited))["sections"]) == ["workspace"]
    assert list((await world.services.health.report("northwind", key))["sections"]) == ["branding", "workspace"]


async def test_a_key_for_sections_learns_nothing_of_others(worlds: Worlds, tmp_path: Path) -> None:
    """A role that left the files is a reason to a key that may push the section which names it, and to admins."""
    world = await worlds()
    (tmp_path / "config" / "roles.yaml").write_text("roles: {clerk: {title: Clerk, grant: [deals.view]}}\n")
    world = await worlds()
    await pushed(world, kind="features", data={"roles": {"clerk": {"grant": ["tasks.view"]}}})
    (tmp_path / "config" / "roles.yaml").unlink()
    world = await worlds()
    key, health = world.services.configured.roster.of("northwind").keys[2], world.services.health
    for types, status in ((frozenset({"workspace"}), "ok"), (frozenset({"features"}), "degraded"), (None, "degraded")):
        limited = type(key)(version=2, material=key.material, types=types)
        for found in (await health.report("northwind", limited), await health.report_anyway("northwind", limited)):
            assert (found["status"], "clerk" in str(found["reasons"])) == (status, status == "degraded")
            assert ("features" in found["sections"]) is (status == "degraded")


async def test_a_fault_of_the_server_is_the_last_failure(world: World) -> None:
    """Of refused and failed attempts the newest is shown; a status that did not occur counts 0."""
    assert await pushed(world, data={"title": 5}) is not None
    commit = world.backend.commit

    async def failing(tenant: str, unit: Unit) -> Any:
        world.backend.commit = commit  # type: ignore[method-assign]
        raise ZeroDivisionError

    world.backend.commit = failing  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await world.services.receiver.receive(world.push({"title": "T"}))
    found = await world.services.health.report("northwind")
    assert (found["last_failure"]["error_code"], found["counts"]["24h"]["failed"]) == ("internal_error", 1)
    assert await pushed(world, data={"title": "T"}) is None
    assert (await world.services.health.report("northwind"))["last_failure"] == found["last_failure"]

    async def uncounted(tenant: str, since: str) -> Tally:
        return Tally({"applied": 3}, {})

    world.backend.tally = uncounted  # type: ignore[method-assign]
    counts = (await world.services.health.report("northwind"))["counts"]["24h"]
    assert counts == {"applied": 3, "unchanged": 0, "rejected": 0, "failed": 0, "unverified": 0}


async def test_records_without_a_plugin_are_a_reason(world: World) -> None:
    """Their type is named, and what to do."""
    await world.backend.commit("northwind", Unit(now=1, puts=(put("a", collection="records:boats"),)))
    assert (await world.services.health.report("northwind"))["reasons"] == [
        "There are records of the type boats, which no plugin brings. They stay stored. Install or enable it."
    ]


@pytest.mark.parametrize(
    ("seconds", "passed", "every", "ago"),
    [
        (1, 1, "1 second", "1 second"), (59, 59, "59 seconds", "59 seconds"), (60, 119, "1 minute", "1 minute"),
        (119, 120, "119 seconds", "2 minutes"), (3600, 7199, "1 hour", "1 hour"),
        (5400, 7199, "90 minutes", "119 minutes"), (5400, 7200, "90 minutes", "2 hours"),
        (9000, 9000, "150 minutes", "150 minutes"),
        (86_400, 172_799, "1 day", "1 day"), (216_000, 216_000, "60 hours", "60 hours"),
        (172_800, 259_200, "2 days", "3 days"),
    ],
)  # fmt: skip
def test_a_push_that_is_overdue(seconds: int, passed: int, every: str, ago: str) -> None:
    """The time that is expected is exact; the time that has passed is rounded down, but never below it."""
    roster = TenantRoster(expect_every=timedelta(seconds=seconds))
    start = datetime(2026, 11, 24, 2, tzinfo=UTC)
    last = Acceptance(at=START, payload_type="branding", version=1, request_id="r", revision=1)
    assert list(staleness(roster, None, start)) == [f"A push is expected every {every}, but none was accepted yet."]
    assert not list(staleness(roster, last, start + timedelta(seconds=seconds)))
    late = start + timedelta(seconds=passed, microseconds=1000)
    assert list(staleness(roster, last, late)) == [
        f"A push is expected every {every}; the last was accepted {ago} ago."
    ]
    assert not list(staleness(TenantRoster(), None, start))


async def test_a_tenant_is_stale(worlds: Worlds) -> None:
    """Past the time that the roster expects, the status is stale, and degraded outweighs it."""
    world = await worlds(tenant=", expect_every: 1h")
    await pushed(world, data={"title": "N"})
    world.clock.forward(7300)
    found = await world.services.health.report("northwind")
    stale = "A push is expected every 1 hour; the last was accepted 2 hours ago."
    assert (found["status"], found["reasons"]) == ("stale", [stale])
    (await world.backend.open_tenants.get("northwind")).reasons.append("a is empty")
    found = await world.services.health.report("northwind")
    assert (found["status"], found["reasons"]) == ("degraded", ["The tenant is read-only: a is empty.", stale])


async def test_the_row_of_a_closed_tenant_is_from_its_digest(worlds: Worlds) -> None:
    """The digest that was stored when it closed says as much as its sections; without one the row says so."""
    world = await worlds(tenant=", expect_every: 1h")
    await pushed(world, kind="features", data={"plan": {"code": "c", "name": "C", "features": ["customers.*"]}})
    world.clock.forward(7300)
    whole = await world.services.health.row("northwind")
    assert whole is not None
    assert whole["status"] == "stale"
    digest, folder = digest_of(world.services.registry.calls), world.services.settings.tenants_dir
    for known, reasons in (
        (StorageContext(folder, digest=digest), whole["reasons"]),
        (StorageContext(folder), ["The stored sections cannot be read."]),
    ):
        await world.backend.close()
        await world.backend.open(known)
        await world.backend.view("northwind", None)  # opened, so that it is closed with this digest
        await world.backend.close()
        await world.backend.open(known)
        row = await world.services.health.row("northwind")
        assert row is not None
        assert row["reasons"] == reasons


def test_a_digest_without_readable_sections_is_empty(world: World) -> None:
    """A store closes with any content."""
    digest = digest_of(world.services.registry.calls)
    assert digest((Document("sections", "branding", 1, b"[]"),)) == b""
    assert digest(()) != b""


async def test_a_tenant_that_is_gone_has_no_row(world: World) -> None:
    """It was removed since the names were read."""
    assert await world.services.health.row("contoso") is None

"""Reading the sync log: pages, filters, all entries and one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from crm_core.errors import InvalidCursor, InvalidParameter, NotFound
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import EntryQuery, Unit
from crm_core.sync.log import query_of, shown
from sync_world import World

MANY = 1003


def entry(number: int) -> LogEntry:
    return LogEntry(
        id=f"01900000-0000-7000-8000-{number:012x}", received_at="2026-11-24T02:00:00.000Z", instance="eu1",
        tenant="northwind", request_id=f"r{number}", source_ip=f"192.0.2.{number % 2}", payload_type="branding",
        nonce=f"nonce-{number:020d}", signature_result="valid", status="applied",
    )  # fmt: skip


async def write(world: World, count: int) -> None:
    """Write log entries."""
    await world.backend.commit("northwind", Unit(now=1, entries=tuple(map(entry, range(count)))))


async def every(world: World, **filters: str) -> list[str]:
    return [found.request_id async for found in world.services.log.every("northwind", filters)]


@pytest.mark.parametrize("count", [0, 499, 500, 501, MANY])
async def test_every_entry_is_read_page_by_page(world: World, count: int) -> None:
    """Each once, newest first, over all pages; the filters count on every page."""
    await write(world, count)
    assert await every(world) == [f"r{number}" for number in reversed(range(count))]
    assert await every(world, source_ip="192.0.2.1") == [f"r{n}" for n in reversed(range(count)) if n % 2]


async def test_pages_follow_each_other(world: World) -> None:
    """Each has as many entries as were requested; a cursor is of one tenant's list with the same filters."""
    await write(world, 7)
    log, filters = world.services.log, {"status": "applied"}
    first, cursor = await log.page("northwind", filters, limit=3, cursor=None)
    second, after = await log.page("northwind", filters, limit=3, cursor=cursor)
    last, end = await log.page("northwind", filters, limit=3, cursor=after)
    assert [one.request_id for one in (*first, *second, *last)] == [f"r{number}" for number in reversed(range(7))]
    assert (len(first), len(second), end) == (3, 3, None)
    assert (await log.page("northwind", filters, limit=7, cursor=None))[1] is None
    await world.backend.create("contoso")
    for tenant, others in (("northwind", {}), ("contoso", filters)):
        with pytest.raises(InvalidCursor):
            await log.page(tenant, others, limit=3, cursor=cursor)


async def test_a_page_is_as_long_as_requested(world: World) -> None:
    """Also where that is more than a query reads by itself."""
    await write(world, 501)
    found, cursor = await world.services.log.page("northwind", {}, limit=500, cursor=None)
    assert (len(found), cursor is not None) == (500, True)


async def test_one_entry(world: World) -> None:
    """By its id; another id, and a text that is none, are not found."""
    await write(world, 3)
    for number in range(3):
        assert (await world.services.log.one("northwind", entry(number).id)).request_id == f"r{number}"
    for text in (entry(9).id, "r1", ""):
        with pytest.raises(NotFound, match="no entry with this id"):
            await world.services.log.one("northwind", text)


async def test_an_entry_is_shown_as_it_is_hashed(world: World) -> None:
    """With the two hashes, so that a reader can verify the chain."""
    await write(world, 2)
    newest, before = [shown(each) async for each in world.services.log.every("northwind", {})]
    assert newest["prev_hash"] == before["entry_hash"]
    assert before["prev_hash"] == "0" * 64
    assert "errors" not in newest
    assert all(one != other for one, other in pairwise((newest, before)))


def test_filters_become_a_query() -> None:
    """Addresses have one spelling, times are UTC, and the rest is compared as it is."""
    filters = {"source_ip": "::ffff:192.0.2.1", "since": "2026-11-24T03:00:00+01:00", "error_code": "x", "nonce": "n"}
    assert query_of({**filters, "until": "2026-11-25T02:00:00Z"}) == EntryQuery(
        equals=(("source_ip", "192.0.2.1"), ("error_code", "x"), ("nonce", "n")),
        since="2026-11-24T02:00:00.000Z",
        until="2026-11-25T02:00:00.000Z",
    )
    assert query_of({"source_ip": "unix"}).equals == (("source_ip", "unix"),)


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("status", "done", "status must be one of applied, unchanged, previewed, rejected, failed."),
        (
            "signature_result",
            "good",
            "signature_result must be one of valid, missing, malformed, unknown_key, inactive_key, invalid, unchecked.",
        ),
        ("since", "yesterday", "since must be a time such as 2026-11-24T02:00:00Z."),
        ("until", "2026", "until must be a time such as 2026-11-24T02:00:00Z."),
    ],
)
def test_a_wrong_filter_is_named(name: str, value: str, detail: str) -> None:
    """The sentence lists the values that it may have."""
    with pytest.raises(InvalidParameter) as refused:
        query_of({name: value})
    assert (refused.value.detail, refused.value.evidence) == (detail, {"parameter": name})


async def test_pushes_for_no_tenant_are_logged_up_to_the_limit(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each is a line in the server's log; past the limit of its source there is one, and 429."""
    log, gone = world.services.attempt_log, NotFound("Gone.")
    answers = [log.misdirected(gone, source="192.0.2.9", tenant="absent") for _ in range(63)]
    assert answers[:60] == [gone] * 60
    assert [answer.code for answer in answers[60:]] == ["rate_limited"] * 3
    assert answers[60].detail == (
        "Too many attempts from this address failed verification. Wait, then send the request again."
    )
    assert (answers[60].retry_after or 0) > 0
    lines = [record.members for record in caplog.records if record.message == "push_astray"]
    known = {"source": "192.0.2.9", "tenant": "absent"}
    assert lines == [{"code": "not_found", **known}] * 60 + [{"code": "rate_limited", **known}]
    assert log.misdirected(gone, source="192.0.2.8") is gone

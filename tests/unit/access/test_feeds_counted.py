from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from crm_core.access import feeds as feeds_module
from crm_core.access.feeds import Feeds
from crm_core.access.stored_streams import STREAMS, StoredStreams
from crm_core.access.streams import Stream
from crm_core.errors import StorageUnavailable, TooManyStreams
from crm_core.model.change_cursor import ChangeCursor
from crm_core.model.ids import Ids
from crm_core.plugin.storage import OutcomeUnknown, Unit
from event_streams import event, record


def stored_streams(access: Any) -> StoredStreams:
    return StoredStreams(access.backend, Ids(access.clock), access.clock, 0.01)


@pytest.fixture
def counted(access: Any, feeds: Feeds) -> StoredStreams:
    """Counts the streams in the store."""
    made = Feeds(access.backend, access.views, access.callers, feeds._stop, stored_streams(access))
    feeds.stored = made.stored
    assert feeds.stored is not None
    return feeds.stored


async def in_store(access: Any) -> list[dict[str, int]]:
    """What each process has stored."""
    return [msgspec.json.decode(each.body) async for each in access.backend.documents("north", STREAMS)]


async def until(true: Any) -> None:
    """Wait for what sends no signal."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 -- the store sends no signal
            await asyncio.sleep(0.005)


async def newest(access: Any) -> ChangeCursor:
    page = await access.backend.changes("north", None)
    return ChangeCursor(page.epoch, page.newest)


async def test_observers_get_the_number_of_open_streams(feeds: Feeds, by_token: Any) -> None:
    """Whenever one opens or leaves; one that leaves again changes nothing, and the last one ends the pump."""
    numbers: list[int] = []
    feeds.observers.append(numbers.append)
    caller = await by_token("sync:read")
    one, two = [await feeds.open("north", caller, None) for _ in range(2)]
    channel = one.channel
    assert channel is not None
    assert channel.pump is not None
    for stream in (one, one, two, two):
        feeds.leave(stream)
    assert numbers == [1, 2, 1, 0]
    assert (feeds.open_streams, feeds._channels, one.channel, two.channel) == (0, {}, None, None)
    await asyncio.wait({channel.pump}, timeout=10)
    assert channel.pump.done()


async def test_streams_and_waits_are_counted_in_the_store(
    access: Any, feeds: Feeds, counted: Any, by_token: Any
) -> None:
    """Until they leave, each once."""
    caller = await by_token("sync:read")
    stream = await feeds.open("north", caller, None)
    other = await feeds.open("north", caller, None)
    waiter = await feeds.wait("north", caller, (), stream.after, 30)
    assert await in_store(access) == [{caller.actor: 3}]
    for reader in (stream, stream, waiter):
        feeds.leave(reader)
    await until(lambda: not counted._releasing)
    assert await in_store(access) == [{caller.actor: 1}]
    feeds.leave(other)
    await until(lambda: not counted._releasing)
    assert await in_store(access) == []


async def test_a_stream_for_which_the_store_has_no_room_leaves_no_trace(
    access: Any, feeds: Feeds, counted: Any, by_token: Any
) -> None:
    """Neither here nor in the store, where the streams of another process stay counted."""
    caller, other = await by_token("sync:read"), stored_streams(access)
    await counted._heartbeat()
    counted._backend.alive = lambda *_: asyncio.sleep(0, frozenset({counted._process, other._process}))
    for _ in range(20):
        await other.add("north", caller.actor)
    with pytest.raises(TooManyStreams):
        await feeds.open("north", caller, None)
    assert (feeds.open_streams, feeds._channels, counted._releasing) == (0, {}, {})
    assert await in_store(access) == [{caller.actor: 20}]


async def test_a_stream_whose_place_cannot_be_read_is_counted_no_longer(
    access: Any, feeds: Feeds, counted: Any, by_token: Any
) -> None:
    """Neither here nor in the store, when the store goes away between the two."""
    caller, known = await by_token("sync:read"), access.backend.changes

    async def gone(tenant: str, place: int | None, limit: int = 500) -> Any:
        raise StorageUnavailable

    access.backend.changes = gone
    with pytest.raises(StorageUnavailable):
        await feeds.open("north", caller, None)
    access.backend.changes = known
    assert (feeds.open_streams, feeds._channels) == (0, {})
    await until(lambda: not counted._releasing)
    assert await in_store(access) == []


@pytest.mark.parametrize("has_room", [True, False])
async def test_a_stream_that_ends_while_it_is_counted_counts_once_or_never(
    access: Any, feeds: Feeds, counted: Any, by_token: Any, has_room: bool
) -> None:
    """Its pump may end first: a stream for which there was no room is not taken off the count of others."""
    caller, other = await by_token("sync:read"), await by_token("sync:read")
    await feeds.open("north", other, None)
    add, counting, ended = counted.add, asyncio.Event(), asyncio.Event()

    async def slow(tenant: str, actor: str) -> None:
        counting.set()
        await ended.wait()
        if not has_room:
            raise TooManyStreams
        await add(tenant, actor)

    counted.add = slow
    opening = asyncio.create_task(feeds.open("north", caller, None))
    await counting.wait()
    feeds._stop.set()
    await until(lambda: not feeds.open_streams)
    await add("north", other.actor)  # so that counts are not forgotten together
    ended.set()
    await asyncio.wait({opening})
    assert (opening.exception() is None) == has_room
    assert counted._used["north"][caller.actor] == 0
    await until(lambda: not counted._releasing)
    assert await in_store(access) == [{other.actor: 1}]


async def test_counts_are_written_again_after_a_write_of_unknown_outcome(
    access: Any, feeds: Feeds, counted: Any, by_token: Any
) -> None:
    """No stream that was refused stays counted, and none that is open goes uncounted."""
    caller, commit, left = await by_token("sync:read"), access.backend.commit, 1

    async def broken(tenant: str, unit: Unit) -> Any:
        nonlocal left
        outcome = await commit(tenant, unit)
        if left:
            left -= 1
            raise OutcomeUnknown
        return outcome

    access.backend.commit = broken
    with pytest.raises(StorageUnavailable):
        await feeds.open("north", caller, None)
    assert await in_store(access) == [{caller.actor: 1}]
    await until(lambda: not counted._releasing)
    assert await in_store(access) == []
    stream = await feeds.open("north", caller, None)
    left = 1
    feeds.leave(stream)
    await until(lambda: not left)
    await feeds.open("north", caller, None)
    assert await in_store(access) == [{caller.actor: 1}]
    await until(lambda: not counted._releasing)
    assert await in_store(access) == [{caller.actor: 1}]
    assert counted._unsure == set()


async def test_a_stream_begins_with_the_time_until_a_client_reconnects(
    access: Any, feeds: Feeds, changes: Any, by_token: Any
) -> None:
    """Two seconds, then its place; the rest once."""
    at = await changes("customers")
    stream = await feeds.open("north", await by_token("customers:read"), None)
    assert await feeds.part(stream) == b"retry: 2000\nid: %b\nevent: ready\ndata: {}\n\n" % str(at).encode()
    assert await feeds.part(stream) == b""
    assert (stream.missed, stream.after, stream.had_rights) == (False, at, True)


async def test_a_stream_that_has_ended_leaves_with_its_next_part(feeds: Feeds, by_token: Any) -> None:
    """Its client is sent nothing more, and it counts no longer."""
    stream = await feeds.open("north", await by_token("sync:read"), None)
    stream.end()
    assert await feeds.part(stream) is None
    assert (feeds.open_streams, stream.channel) == (0, None)
    assert await feeds.part(stream) is None


async def test_a_wait_is_for_entries_of_its_types_after_its_cursor(access: Any, feeds: Feeds, by_token: Any) -> None:
    """It begins now, and is over after so many seconds."""
    caller, at = await by_token("customers:read", "tasks:read"), await newest(access)
    waiter = await feeds.wait("north", caller, ("tasks",), at, 30)
    assert (waiter.caller, waiter.after, waiter.had_rights) == (caller, at, True)
    assert waiter.end_at == waiter.last_frame_at + 30
    assert 0 <= asyncio.get_running_loop().time() - waiter.last_frame_at < 30
    assert (waiter.over, waiter.is_ready) == (False, False)
    assert [waiter.wants(record(name, 1)) for name in ("customers", "tasks")] == [False, True]
    await access.backend.commit("north", Unit(now=0, changes=(record("customers", 1), record("deals", 1))))
    await access.backend.commit("north", Unit(now=0, changes=(record("tasks", 1),)))
    async with asyncio.timeout(10):
        await waiter.called()
    assert waiter._reached == at.place + 3


async def test_many_events_are_read_without_a_pause(
    access: Any, feeds: Feeds, by_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open stream gets the events of a long commit in order; when it has all, nothing is read until the next."""
    monkeypatch.setattr(feeds_module, "_BATCH", 3)
    monkeypatch.setattr(feeds_module, "_INTERVAL", 0.01)
    known, reads = access.backend.changes, []

    async def noted(tenant: str, place: int | None, limit: int = 500) -> Any:
        reads.append((place, limit))
        return await known(tenant, place, limit)

    stream = await feeds.open("north", await by_token("customers:read"), None)
    first, channel = stream.after.place, stream.channel
    assert channel is not None
    access.backend.changes = noted
    await access.backend.commit("north", Unit(now=0, changes=tuple(record("customers", n) for n in range(7))))
    await until(lambda: channel.place == first + 7)
    await asyncio.sleep(0.1)
    assert reads == [(first + passed, 3) for passed in (0, 3, 6)]
    assert channel.seq == (await known("north", None)).seq
    await feeds.part(stream)
    assert (await feeds.part(stream) or b"").count(b"event: record.changed") == 7


async def test_missed_events_are_read_until_there_are_none(
    access: Any, feeds: Feeds, by_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that resumes reads some at a time, and nothing more from the store once it has them all."""
    monkeypatch.setattr(feeds_module, "_BATCH", 3)
    at = await newest(access)
    await access.backend.commit("north", Unit(now=0, changes=tuple(record("customers", n) for n in range(5))))
    stream = await feeds.open("north", await by_token("customers:read"), at)
    found = [await feeds.part(stream) or b"" for _ in range(4)]
    assert [part.count(b"event: record.changed") for part in found] == [0, 3, 2, 0]
    assert (stream.missed, stream.is_ready, stream.after.place) == (False, False, at.place + 5)


async def test_a_stream_that_is_reset_misses_nothing(feeds: Feeds, by_token: Any) -> None:
    """It waits for what follows."""
    stream = await feeds.open("north", await by_token("customers:read"), ChangeCursor("0", 1))
    await feeds.part(stream)
    assert b"event: reset" in (await feeds.part(stream) or b"")
    assert (stream.missed, stream.is_ready) == (False, False)


async def opened_in_turn(feeds: Feeds, made: Any, number: int) -> list[Stream]:
    """Streams of different callers in the order in which the pump serves them."""
    streams = [await feeds.open("north", await made("customers:read"), None) for _ in range(number)]
    channel = streams[0].channel
    assert channel is not None
    return [reader for reader in channel.readers if isinstance(reader, Stream)]


async def test_a_caller_that_is_gone_takes_no_event_from_others(
    access: Any, feeds: Feeds, changes: Any, by_token: Any
) -> None:
    """Its stream leaves, those after it get what was committed."""
    first, *others = await opened_in_turn(feeds, by_token, 4)
    await access.tokens.revoke("north", first.caller.id, by=None)
    await changes("customers", 1)
    await until(lambda: all(stream.is_ready for stream in others))
    assert (first.channel, feeds.open_streams) == (None, 3)
    for stream in others:
        await feeds.part(stream)
        assert b'"revision":1' in (await feeds.part(stream) or b"")


async def test_a_comment_is_sent_only_to_streams_that_were_silent(
    feeds: Feeds, access: Any, by_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a little before the heartbeat is due, as the next delivery may come a little after it."""
    now = [0.0]
    monkeypatch.setattr(feeds_module, "_loop_time", lambda: now[0])
    stream = await feeds.open("north", await by_token("customers:read"), None)
    channel, workspace = stream.channel, await access.views.of("north")
    assert channel is not None
    assert stream.last_frame_at == 0.0
    sent = []
    for now[0] in (14.7, 14.8, 29.5, 29.7):
        await feeds._send(channel, workspace, ())
        sent.append(stream.take())
    assert sent == [b"", b": still here\n\n", b"", b": still here\n\n"]
    page = await access.backend.changes("north", None)
    await access.backend.commit("north", Unit(now=0, changes=(event("sync.applied", data={}), record("customers", 1))))
    entries = (await access.backend.changes("north", page.newest)).entries
    now[0] = 50.0
    await feeds._send(channel, workspace, entries)
    assert (stream.last_frame_at, stream.take().count(b"\n\n")) == (50.0, 1)


async def test_a_failure_of_the_pump_ends_its_streams(access: Any, feeds: Feeds, by_token: Any) -> None:
    """Also if it is none of the store: their clients reconnect to a new one."""
    streams = [await feeds.open("north", await by_token("sync:read"), None) for _ in range(2)]

    async def broken(*_: object) -> None:
        raise ValueError

    access.backend.changes, known = broken, access.backend.changes
    await access.backend.commit("north", Unit(now=0))
    await until(lambda: not feeds.open_streams)
    access.backend.changes = known
    assert [stream.ended for stream in streams] == [True, True]
    assert feeds._channels == {}


async def test_places_of_another_epoch_end_the_streams(access: Any, feeds: Feeds, by_token: Any) -> None:
    """Also if the store has entries at them: nothing of it is sent under ids of the former epoch."""
    stream, known = await feeds.open("north", await by_token("customers:read"), None), access.backend.changes

    async def restored(tenant: str, place: int | None, limit: int = 500) -> Any:
        return msgspec.structs.replace(await known(tenant, place, limit), epoch="other")

    access.backend.changes = restored
    await access.backend.commit("north", Unit(now=0, changes=(record("customers", 1),)))
    await until(lambda: stream.is_ready)
    assert (stream.ended, stream.take()) == (True, b"")


async def test_events_of_pushes_have_their_own_data(access: Any, feeds: Feeds, by_token: Any) -> None:
    """An event of a record names the record instead."""
    stream = await feeds.open("north", await by_token("sync:read", "customers:read"), None)
    entries = event("sync.applied", data={"section": "branding"}), record("customers", 4)
    await access.backend.commit("north", Unit(now=0, changes=entries))
    await until(lambda: stream.is_ready)
    sent = [line for line in stream.take().splitlines() if line.startswith(b"data: ")]
    assert sent == [b'data: {"section":"branding"}', b'data: {"type":"customers","id":"x","revision":4}']

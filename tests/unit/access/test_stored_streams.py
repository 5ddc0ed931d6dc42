from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_core.access import stored_streams as module
from crm_core.access.stored_streams import STREAMS, StoredStreams
from crm_core.errors import StorageUnavailable, TooManyStreams
from crm_core.model.ids import Ids
from crm_core.plugin.storage import Committed, Conflict, StorageContext, Unit
from crm_tinydb.storage import TinyDBBackend


class Shared(TinyDBBackend):
    """A store as several processes share one: it remembers which live, and what they asked."""

    def __init__(self) -> None:
        super().__init__()
        self.living: set[str] = set()
        self.beats: list[tuple[str, int]] = []
        self.units: list[Unit] = []
        self.broken = False
        self.before: Callable[[str], Awaitable[object]] | None = None  # once, before the next commit

    async def alive(self, process: str, seconds: int) -> frozenset[str]:
        self.beats.append((process, seconds))
        if self.broken:
            raise StorageUnavailable
        (self.living.add if seconds else self.living.discard)(process)
        return frozenset(self.living)

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        before, self.before = self.before, None
        if before is not None:
            await before(tenant)
        self.units.append(unit)
        if self.broken:
            raise StorageUnavailable
        return await super().commit(tenant, unit)

    async def counted(self, tenant: str = "north") -> list[dict[str, int]]:
        """What each process has stored."""
        return [msgspec.json.decode(each.body) async for each in self.documents(tenant, STREAMS)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Shared]:
    store = Shared()
    await store.open(StorageContext(tmp_path))
    await store.create("north")
    yield store
    await store.close()


def processes(store: Shared, clock: Any, count: int, release_after: float = 5.0) -> list[StoredStreams]:
    return [StoredStreams(store, Ids(clock), clock, release_after) for _ in range(count)]


async def opened(stack: AsyncExitStack, streams: StoredStreams, number: int, actor: str = "user:ada") -> int:
    """How many of so many streams, opened together, there is room for."""
    done = await asyncio.gather(*(streams.add("north", actor) for _ in range(number)), return_exceptions=True)
    assert all(each is None or isinstance(each, TooManyStreams) for each in done)
    for _ in range(done.count(None)):
        stack.callback(streams.remove, "north", actor)
    return done.count(None)


async def test_a_caller_is_limited_over_all_processes(store: Shared, clock: Any) -> None:
    """Of thirty streams of a caller that open in three processes together, twenty do; another caller's is no matter."""
    three = processes(store, clock, 3)
    async with AsyncExitStack() as stack:
        assert sum(await asyncio.gather(*(opened(stack, each, 10) for each in three))) == 20
        assert [await opened(stack, each, 1) for each in three] == [0, 0, 0]
        assert await opened(stack, three[0], 5, "user:bob") == 5


async def test_a_tenant_is_limited_over_all_processes(store: Shared, clock: Any) -> None:
    """Two hundred streams of a tenant, of whichever callers and processes."""
    two = processes(store, clock, 2)
    async with AsyncExitStack() as stack:
        done = [await opened(stack, two[number % 2], 20, f"user:{number}") for number in range(11)]
        assert done == [20] * 10 + [0]


async def test_a_dead_process_counts_no_more(store: Shared, clock: Any) -> None:
    """The streams of a process that gives no sign of life make room, and leave the store."""
    one, other = processes(store, clock, 2)
    async with AsyncExitStack() as stack, AsyncExitStack() as dead:
        await opened(dead, one, 20)
        assert await opened(stack, other, 1) == 0
        store.living.clear()
        await other._heartbeat()
        assert await opened(stack, other, 20) == 20
        assert await store.count("north", STREAMS) == 1


async def test_closed_streams_make_room_and_need_no_write_to_open_again(store: Shared, clock: Any) -> None:
    """A caller that waits again and again writes once; a while after the last one nothing is left in the store."""
    one, other = processes(store, clock, 2, release_after=0.05)
    for _ in range(30):
        await one.add("north", "token:t")
        one.remove("north", "token:t")
    assert (await store.view("north", None)).seq == 1
    while await store.count("north", STREAMS):  # noqa: ASYNC110 -- the store sends no signal
        await asyncio.sleep(0.01)
    async with AsyncExitStack() as stack:
        assert await opened(stack, other, 21, "token:t") == 20
    await asyncio.sleep(0.2)
    assert await store.count("north", STREAMS) == 0


async def test_callers_that_left_use_no_memory(store: Shared, clock: Any) -> None:
    """While a stream of a tenant stays open, many tokens may be made, listen for a moment and be revoked."""
    (one,) = processes(store, clock, 1)
    await one.add("north", "user:ada")
    for number in range(50):
        await one.add("north", f"token:{number}")
        one.remove("north", f"token:{number}")
    assert dict(one._used["north"]) == {"user:ada": 1}
    one.remove("north", "user:ada")


async def until(true: Callable[[], bool]) -> None:
    """Wait for what sends no signal."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 -- the store sends no signal
            await asyncio.sleep(0.005)


async def test_a_process_lives_from_heartbeat_to_heartbeat(
    store: Shared, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says that it serves for three times as long as until the next; a store that is away for one ends nothing."""
    monkeypatch.setattr(module, "_BEAT", 0.01)
    (one,), stop = processes(store, clock, 1), asyncio.Event()
    running = asyncio.create_task(one.run(stop))
    await until(lambda: len(store.beats) > 1)
    store.broken, known = True, len(store.beats)
    await until(lambda: len(store.beats) > known + 1)
    assert set(store.beats) == {(one._process, 15)}
    store.broken = False
    await until(lambda: one._process in store.living)
    await one.add("north", "user:ada")
    one.remove("north", "user:ada")
    releasing = one._releasing["north"]
    stop.set()
    await running
    assert (store.living, store.beats[-1]) == (set(), (one._process, 0))
    await asyncio.wait({releasing})
    assert releasing.cancelled()


async def test_a_process_stops_though_the_store_is_gone(store: Shared, clock: Any) -> None:
    """It no longer counts once its time is over."""
    (one,), stop = processes(store, clock, 1), asyncio.Event()
    running = asyncio.create_task(one.run(stop))
    await until(lambda: bool(store.beats))
    store.broken = True
    stop.set()
    await running
    assert store.living == {one._process}


async def test_a_process_that_has_just_started_is_asked_for(store: Shared, clock: Any) -> None:
    """Its streams count before the next heartbeat of another process; known ones cost none."""
    one, other = processes(store, clock, 2)
    for each in (one, other):
        await each._heartbeat()
    await one._heartbeat()
    async with AsyncExitStack() as stack:
        assert await opened(stack, one, 1) == 1
        (late,) = processes(store, clock, 1)
        await late._heartbeat()
        beats = len(store.beats)
        assert await opened(stack, late, 1) == 1
        assert len(store.beats) == beats
        assert await opened(stack, other, 1) == 1
        assert store.beats[beats:] == [(other._process, 15)]
        assert await store.counted() == [{"user:ada": 1}] * 3


async def test_two_processes_that_open_their_first_streams_together_stay_within_the_limit(
    store: Shared, clock: Any
) -> None:
    """A process that has stored its streams since another looked is seen by it before it stores its own."""
    one, other = processes(store, clock, 2)
    for each in (one, other, one):
        await each._heartbeat()
    async with AsyncExitStack() as stack:
        store.before = lambda _tenant: opened(stack, other, 20)
        assert await opened(stack, one, 1) == 0
    assert all(unit.now == int(clock().timestamp()) for unit in store.units)


async def test_closed_streams_leave_the_others_counted(store: Shared, clock: Any) -> None:
    """After a while the store has the open streams of each caller, and the process forgets a tenant without one."""
    (one,) = processes(store, clock, 1, release_after=0.01)
    for actor in ("user:ada", "user:ada", "user:ada", "user:bob", "user:eve"):
        await one.add("north", actor)
    one.remove("north", "user:ada")
    one.remove("north", "user:eve")
    await until(lambda: not one._releasing)
    assert await store.counted() == [{"user:ada": 2, "user:bob": 1}]
    await one.add("north", "user:ada")
    assert await store.counted() == [{"user:ada": 3, "user:bob": 1}]
    for actor in ("user:ada", "user:ada", "user:ada", "user:bob"):
        one.remove("north", actor)
    await until(lambda: not one._releasing)
    assert await store.counted() == []
    assert (one._used, one._stored) == ({}, {})
    assert all(unit.now == int(clock().timestamp()) for unit in store.units)


async def test_a_stream_that_opens_again_in_time_is_not_released(store: Shared, clock: Any) -> None:
    """The store is written once for it."""
    (one,) = processes(store, clock, 1, release_after=0.01)
    await one.add("north", "user:ada")
    one.remove("north", "user:ada")
    await one.add("north", "user:ada")
    await until(lambda: not one._releasing)
    assert len(store.units) == 1
    assert await store.counted() == [{"user:ada": 1}]


async def test_closed_streams_are_released_once_the_store_is_back(store: Shared, clock: Any) -> None:
    """A process tries again until it has stored that they are closed."""
    (one,) = processes(store, clock, 1, release_after=0.01)
    await one.add("north", "user:ada")
    store.broken = True
    one.remove("north", "user:ada")
    await until(lambda: len(store.units) > 3)
    store.broken = False
    await until(lambda: not one._releasing)
    assert await store.counted() == []


async def test_streams_of_a_tenant_that_is_gone_are_forgotten(store: Shared, clock: Any) -> None:
    """There is nothing left to release them in."""
    (one,) = processes(store, clock, 1, release_after=0.01)
    await one.add("north", "user:ada")
    await store.remove("north")
    one.remove("north", "user:ada")
    await until(lambda: not one._releasing)
    assert (one._used, one._stored) == ({}, {})


async def test_a_tenant_whose_store_is_slow_delays_no_other(store: Shared, clock: Any) -> None:
    """Streams of another tenant open meanwhile."""
    await store.create("south")
    (one,), continues = processes(store, clock, 1), asyncio.Event()
    store.before = lambda _tenant: continues.wait()
    slow = asyncio.create_task(one.add("north", "user:ada"))
    await until(lambda: store.before is None)
    async with asyncio.timeout(10):
        await one.add("south", "user:ada")
    assert await store.counted() == []
    continues.set()
    await slow
    assert [await store.counted(tenant) for tenant in ("north", "south")] == [[{"user:ada": 1}]] * 2


async def test_a_stream_that_others_always_overtake_is_refused(
    store: Shared, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After twenty attempts its caller is asked to try again in a second; it does not count."""
    (one,), attempts = processes(store, clock, 1), list[Unit]()

    async def overtaken(_tenant: str, unit: Unit) -> Conflict:
        attempts.append(unit)
        return Conflict("document")

    monkeypatch.setattr(store, "commit", overtaken)
    with pytest.raises(StorageUnavailable, match=r"^Many streams are being opened right now\. Try again\.$") as refused:
        await one.add("north", "user:ada")
    assert (refused.value.retry_after, len(attempts)) == (1, 20)
    monkeypatch.undo()
    await one.add("north", "user:ada")
    assert await store.counted() == [{"user:ada": 1}]


async def test_a_stream_that_opens_while_closed_ones_are_released_stays_counted(store: Shared, clock: Any) -> None:
    """It is stored after them, so that what they leave does not overwrite it."""
    (one,), continues = processes(store, clock, 1, release_after=0.01), asyncio.Event()
    await one.add("north", "user:ada")
    store.before = lambda _tenant: continues.wait()
    one.remove("north", "user:ada")
    await until(lambda: store.before is None)
    adding = asyncio.create_task(one.add("north", "user:bob"))
    await asyncio.sleep(0.05)
    assert not adding.done()
    continues.set()
    await adding
    assert await store.counted() == [{"user:bob": 1}]

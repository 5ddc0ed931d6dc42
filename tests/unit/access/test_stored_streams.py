from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from crm_core.access.stored_streams import STREAMS, StoredStreams
from crm_core.errors import TooManyStreams
from crm_core.model.ids import Ids
from crm_core.plugin.storage import StorageContext
from crm_tinydb.storage import TinyDBBackend


class Shared(TinyDBBackend):
    """A store as several processes share one: it remembers which live."""

    def __init__(self) -> None:
        super().__init__()
        self.living: set[str] = set()

    async def alive(self, process: str, seconds: int) -> frozenset[str]:
        (self.living.add if seconds else self.living.discard)(process)
        return frozenset(self.living)


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

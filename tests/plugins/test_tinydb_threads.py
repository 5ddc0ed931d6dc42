"""Threads that cannot start: clone fails with EAGAIN when a user or a cgroup has as many as it may."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.plugin.storage import Committed, StorageContext, Unit
from crm_core.testing.storage import put
from crm_tinydb.storage import TinyDBBackend
from crm_tinydb.workers import Workers


class Threads:
    """A factory whose threads start while ``allowed`` agrees to their name."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self.allowed = allowed
        self.started: list[str] = []

    def __call__(self, **options: Any) -> threading.Thread:
        factory = self

        class Limited(threading.Thread):
            def start(self) -> None:
                if not factory.allowed(self.name):
                    raise RuntimeError("can't start new thread")
                super().start()
                factory.started.append(self.name)

        return Limited(**options)


def unit(number: int) -> Unit:
    return Unit(now=1_800_000_000, puts=(put("d", {"n": number}, {"name": "x"}),), revises=True)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[[Threads], Any]]:
    """A factory of backends on a real folder, closed at the end within a deadline."""
    backends: list[TinyDBBackend] = []

    async def factory(threads: Threads) -> TinyDBBackend:
        backend = TinyDBBackend(thread=threads)
        await backend.open(StorageContext(tmp_path / "tenants"))
        backends.append(backend)
        return backend

    yield factory
    async with asyncio.timeout(10):
        for backend in backends:
            await backend.close()


async def test_all_threads_start_when_the_store_opens(opened: Callable[[Threads], Any]) -> None:
    """No later work needs a thread that the system may not have any more."""
    threads = Threads(lambda _: True)
    backend = await opened(threads)
    started = len(threads.started)
    await backend.create("north")
    await asyncio.gather(*(backend.commit("north", unit(number)) for number in range(20)))
    assert len(threads.started) == started


async def test_without_threads_for_writes_commits_are_refused_and_heal(opened: Callable[[Threads], Any]) -> None:
    """A commit is a 503 and the store reports it; reads work; once a thread starts commits succeed again."""
    full = True
    backend = await opened(Threads(lambda name: not (full and "append" in name)))
    await backend.create("north")
    async with asyncio.timeout(10):
        with pytest.raises(StorageUnavailable):
            await backend.commit("north", unit(1))
        assert (await backend.state("north")).mode == "read_only"
        assert "north" in await backend.troubled()
        assert (await backend.view("north", None)).revision == 0
        full = False
        assert isinstance(await backend.commit("north", unit(2)), Committed)
        assert (await backend.state("north")).mode == "ok"


async def test_a_store_without_any_thread_does_not_open(opened: Callable[[Threads], Any]) -> None:
    """Without a single thread opening fails with the reason."""
    with pytest.raises(SetupError, match="no thread left"):
        await opened(Threads(lambda _: False))


async def test_work_without_a_thread_fails_and_later_work_starts_one() -> None:
    """The caller gets EAGAIN, nothing stays pending, and closing does not wait for a thread that never ran."""
    full = True
    workers = Workers(2, "test", Threads(lambda _: not full))
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="no thread left") as raised:
            await workers.run(lambda: 1)
        assert raised.value.errno == errno.EAGAIN
        full = False
        assert await workers.run(lambda: 2) == 2
    workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the policy")
async def test_threads_for_the_disk_do_not_interrupt_the_loop() -> None:
    """They have the policy of batch work, under which a waking thread interrupts none; the loop keeps its own."""
    mine = os.sched_getscheduler(0)
    workers = Workers(1, "test")
    async with asyncio.timeout(5):
        assert await workers.run(lambda: os.sched_getscheduler(0)) == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == mine
    workers.close()

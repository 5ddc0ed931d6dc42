from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from crm_core.commands import log
from crm_core.model.log import LogEntry
from crm_core.testing.storage_harness import entry
from sync_world import World


def note(world: World, number: int, id_: str | None = None) -> None:
    """Write an entry, with a new id or one that was made before."""
    world.backend.note("northwind", entry(number, id=id_ or world.services.ids.new()))


async def following(followed: AsyncIterator[Any], count: int) -> list[str]:
    """The requests of the next entries."""
    return [(await anext(followed))["request_id"] for _ in range(count)]


async def test_no_entry_is_left_out_of_a_burst(world: World) -> None:
    """A follower gets each entry once and in order, also if more arrive at a time than one read returns."""
    numbers = range(1, 1200)
    note(world, 0)
    async with aclosing(log.tail(world.services, "northwind", {}, last=1)) as followed:
        assert await following(followed, 1) == ["request-0"]
        for number in numbers:
            world.clock.forward(0.1)
            note(world, number)
        assert await following(followed, len(numbers)) == [f"request-{number}" for number in numbers]


async def test_an_entry_that_is_stored_late_is_not_left_out(world: World) -> None:
    """A follower gets an entry whose id is lower than that of one that it has; those before it began it never gets."""
    ids = [world.services.ids.new() for _ in range(4)]
    note(world, 0, ids[0])
    note(world, 2, ids[2])
    async with aclosing(log.tail(world.services, "northwind", {}, last=1)) as followed:
        assert await following(followed, 1) == ["request-2"]
        note(world, 1, ids[1])
        assert await following(followed, 1) == ["request-1"]
        world.clock.forward(9)
        note(world, 4)
        assert await following(followed, 1) == ["request-4"]
        note(world, 3, ids[3])
        assert await following(followed, 1) == ["request-3"]


async def test_a_quiet_log_is_not_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower who looks again and again at a log without new entries gets none of the earlier ones, then the new."""
    for number in range(5):
        note(world, number)
    world.clock.forward(60)
    looks, look, enough = [], log._late, asyncio.Event()

    async def counted(*arguments: Any) -> list[LogEntry]:
        looks.append(arguments)
        if len(looks) == 5:
            enough.set()
        return await look(*arguments)

    monkeypatch.setattr(log, "_late", counted)
    monkeypatch.setattr(log, "_POLL_SECONDS", 0.001)
    async with aclosing(log.tail(world.services, "northwind", {}, last=1)) as followed:
        assert await following(followed, 1) == ["request-4"]
        coming = asyncio.create_task(following(followed, 1))
        await asyncio.wait({coming, asyncio.create_task(enough.wait())}, return_when=asyncio.FIRST_COMPLETED)
        note(world, 5)
        assert await coming == ["request-5"]

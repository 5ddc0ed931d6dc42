from __future__ import annotations

from contextlib import aclosing

from crm_core.commands.log import tail
from crm_core.testing.storage_harness import entry
from sync_world import World


async def test_no_entry_is_left_out_of_a_burst(world: World) -> None:
    """A follower gets each entry once and in order, also if more arrive at a time than one read returns."""
    numbers = range(1, 1200)
    world.backend.note("northwind", entry(0))
    async with aclosing(await tail(world.services, "northwind", {}, last=1)) as followed:
        assert (await anext(followed))["request_id"] == "request-0"
        for number in numbers:
            world.backend.note("northwind", entry(number))
        assert [(await anext(followed))["request_id"] for _ in numbers] == [f"request-{number}" for number in numbers]

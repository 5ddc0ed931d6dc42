from __future__ import annotations

import asyncio
import threading

import pytest

from crm_core.web.loaded_later import LoadedLater


async def test_a_value_is_made_once_in_another_thread() -> None:
    """Those who want it at the same time get the same one, and the loop is free meanwhile."""
    made: list[str] = []
    allowed = threading.Event()

    def load() -> object:
        allowed.wait()
        made.append(threading.current_thread().name)
        return object()

    later = LoadedLater(load)
    waiting = [asyncio.create_task(later.get()) for _ in range(3)]
    await asyncio.sleep(0)
    allowed.set()  # which only a loop that is free can do
    found = await asyncio.gather(*waiting, later.get())
    assert found == [found[0]] * 4
    assert made != [threading.main_thread().name]
    assert len(made) == 1


async def test_one_that_fails_is_made_again() -> None:
    """A caller gets the error; the next one tries again."""
    answers = iter([OSError("too many open files"), None])

    def load() -> str:
        if error := next(answers):
            raise error
        return "made"

    later = LoadedLater(load)
    with pytest.raises(OSError, match="too many"):
        await later.get()
    assert await later.get() == "made"
    assert await later.get() == "made"


async def test_a_client_that_leaves_stops_nothing() -> None:
    """The work continues for others who wait."""
    allowed = threading.Event()
    later = LoadedLater(lambda: allowed.wait() and "made")
    leaving, staying = asyncio.create_task(later.get()), asyncio.create_task(later.get())
    await asyncio.sleep(0)
    leaving.cancel()
    allowed.set()
    assert await staying == "made"

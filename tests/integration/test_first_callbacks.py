"""No callback occupies the event loop when a page is read for the first time after a start.

Not next to the server of ``test_event_loop.py``: a server that ends takes the signals of its process with it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from loop_watch import LoopWatch
from served import instance

pytestmark = pytest.mark.slow

LIMIT = 0.010  # seconds of the loop thread's CPU time
TRIES = 6  # other processes may slow a callback down now and then; a callback that is long is long each time


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/i/eu1/docs/errors", "/i/eu1/t/northwind/login"])
async def test_no_first_callback_is_long(tmp_path: Path, path: str) -> None:
    """A page that is made when it is first read is made in a thread."""
    with LoopWatch() as watch:
        for number in range(TRIES):
            folder = tmp_path / str(number)
            folder.mkdir()
            async with instance(folder) as served, httpx.AsyncClient() as client:
                await client.get(f"{served.url}/healthz")
                with watch.part() as longest:
                    assert (await client.get(f"{served.url}{path}")).is_success
                    await asyncio.sleep(0.05)
            if longest.seconds <= LIMIT:
                return
    pytest.fail(f"{longest}")

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core.web.sending import until_client_leaves


@pytest.mark.parametrize("leaves", [True, False])
async def test_nothing_is_read_for_an_answer_that_was_cut_off(leaves: bool) -> None:
    """Sending ends with the client, and with the request that a server cuts off when it stops."""
    began, ended, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def sending() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    request = asyncio.create_task(until_client_leaves(sending(), receive))
    await began.wait()
    if leaves:
        gone.set()
        await request
    else:
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert ended.is_set()

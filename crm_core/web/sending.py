"""Writing answers to an ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing

from crm_core.access.streams import Stream
from crm_core.server.asgi import Receive, Send
from crm_core.server.cycle import RESPONSE
from crm_core.web.answers import Answer


async def write(answer: Answer, receive: Receive, send: Send, *, in_one: bool = False) -> None:
    """Send an answer; one that is streamed until its end or the client's, of an event stream only the head.

    ``in_one``: the server accepts a whole answer in one message.
    """
    body = answer.body
    if in_one and isinstance(body, bytes):
        await send({"type": RESPONSE, "status": answer.status, "headers": answer.headers, "body": body})
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return
    if isinstance(body, Stream):
        return

    async def parts() -> None:
        async with aclosing(body):
            async for part in body:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    await until_client_leaves(parts(), receive)


async def until_client_leaves(sending: Awaitable[None], receive: Receive) -> None:
    """Send an answer part by part, until its end, the client's, or that of a drain's deadline."""
    tasks = asyncio.ensure_future(sending), asyncio.ensure_future(_disconnected(receive))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue

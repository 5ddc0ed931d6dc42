"""The memory of connections that have closed, which the garbage collector may not look at."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from weakref import ReferenceType, ref

import pytest

from crm_core.server.connection import ServerConnection
from served import Instance, instance


@contextmanager
def unseen_by_the_collector() -> Iterator[None]:
    """Run as with objects that a freeze has hidden from the collector."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def sent_and_closed(served: Instance, text: str, *, answered: bool) -> list[ReferenceType[ServerConnection]]:
    """Send a text over a new connection and close it, after its response's first bytes or before them."""
    address = urlsplit(served.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(text.encode())
    await writer.drain()
    if answered:
        assert await reader.read(65536)
    else:
        await asyncio.sleep(0.05)
    found = [ref(each) for each in gc.get_objects() if isinstance(each, ServerConnection)]
    writer.close()
    await writer.wait_closed()
    return found


@pytest.mark.parametrize("kind", ["answered", "pipelined", "page", "waiting", "events", "half a head", "half a body"])
async def test_a_closed_connection_is_freed_without_the_collector(tmp_path: Path, kind: str) -> None:
    """Opening a large tenant hides all objects from the collector for good, connections that are open then included."""
    async with instance(tmp_path) as served:
        fields = f"Host: a\r\nAuthorization: Bearer {await served.token()}\r\n"
        base = urlsplit(served.base()).path
        get = f"GET {base}bootstrap HTTP/1.1\r\n{fields}\r\n"
        texts = {
            "answered": get,
            "pipelined": get * 3,
            "page": f"GET /i/eu1/t/northwind/login HTTP/1.1\r\n{fields}\r\n",
            "waiting": f"GET {base}changes?wait=30 HTTP/1.1\r\n{fields}\r\n",
            "events": f"GET {base}events HTTP/1.1\r\n{fields}\r\n",
            "half a head": f"GET {base}boo",
            "half a body": f"POST {base}customers HTTP/1.1\r\n{fields}Content-Length: 99\r\n\r\n{{",
        }
        with unseen_by_the_collector():
            seen = []
            for _ in range(3):
                seen += await sent_and_closed(served, texts[kind], answered=kind in ("answered", "page", "events"))
            assert seen
            async with asyncio.timeout(20):
                while any(each() is not None for each in seen):  # noqa: ASYNC110 -- nothing is called when memory is freed
                    await asyncio.sleep(0.05)

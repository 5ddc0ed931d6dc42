"""A small upstream over a real socket that keeps every byte it was sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

READY = b"GET /readyz "
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Seen:
    """One request as it arrived; ``whole`` where its body ended as it announced."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    whole: bool = False

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each == name]


Respond = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


async def ok(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


@dataclass
class StandIn:
    """Answers probes of its health by ``ready``, everything else by ``respond``; keeps what it saw of the latter."""

    respond: Respond = ok
    ready: bytes = OK
    early: bool = False
    seen: list[Seen] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""
    connections: int = 0
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, where: str = "127.0.0.1:0") -> StandIn:
        if where.startswith("unix:"):
            self._server = await asyncio.start_unix_server(self._serve, where.removeprefix("unix:"))
            self.address = where
        else:
            host, _, port = where.rpartition(":")
            self._server = await asyncio.start_server(self._serve, host, int(port))
            self.address = "http://{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def stop(self) -> None:
        """Refuse connections from now on and break off those that are open."""
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving)
            if self.address.startswith("unix:"):
                Path(self.address.removeprefix("unix:")).unlink(missing_ok=True)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                await writer.drain()
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._serving.discard(task)
            self.gone.set()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(READY):
            writer.write(self.ready)
            return True
        line, *lines = head[:-4].split(b"\r\n")
        pairs = [each.partition(b": ") for each in lines]
        seen = Seen(line, [(name.lower(), value) for name, _, value in pairs])
        self.seen.append(seen)
        if self.early:
            await self.respond(seen, writer)
        await _read_body(reader, seen)
        if not self.early:
            await self.respond(seen, writer)
        return not writer.is_closing()


async def _read_body(reader: asyncio.StreamReader, seen: Seen) -> None:
    lengths, codings = seen.values(b"content-length"), seen.values(b"transfer-encoding")
    assert len(lengths) + len(codings) <= 1, "two lengths"
    if lengths:
        left = int(lengths[0])
        while left:
            part = await reader.read(left)
            if not part:
                raise asyncio.IncompleteReadError(seen.body, left)
            seen.body += part
            left -= len(part)
    elif codings:
        assert codings == [b"chunked"]
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            seen.body += await reader.readexactly(size)
            assert await reader.readexactly(2) == b"\r\n"
        assert await reader.readexactly(2) == b"\r\n"
    seen.whole = True


@asynccontextmanager
async def upstream(
    respond: Respond = ok, where: str = "127.0.0.1:0", *, early: bool = False, ready: bytes = OK
) -> AsyncIterator[StandIn]:
    """Run a stand-in until the end of the block."""
    made = await StandIn(respond=respond, early=early, ready=ready).start(where)
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            await made.stop()


def answering(raw: bytes) -> Respond:
    """Answers with the same bytes each time."""

    async def respond(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return respond

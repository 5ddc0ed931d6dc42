"""The manager in the test's own process, and ways to talk to it byte by byte."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from crm_core.manager.limits import Timeouts
from crm_core.manager.run import manage
from crm_core.server.limits import Deadlines

LISTEN = "127.0.0.1:0"
PATIENCE = 20.0
"""Seconds until something is broken; what never comes takes longer."""


@dataclass
class Answer:
    """One answer as it arrived."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    raw: bytes = field(repr=False, default=b"")

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each == name]

    def value(self, name: str) -> str:
        (value,) = self.values(name)
        return value

    def json(self) -> Any:
        return json.loads(self.body)


def problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is this problem and return its members."""
    assert answer.status == status, answer
    assert answer.value("content-type") == "application/problem+json"
    members: dict[str, Any] = answer.json()
    assert (members["status"], members["code"]) == (status, code)
    assert members["title"]
    assert members["detail"]
    assert members["request_id"] == answer.value("x-request-id")
    return members


@dataclass
class Front:
    """A front to talk to, at an address of this machine."""

    host: str
    port: int
    file: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def ask(
        self,
        target: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        host: str | None = None,
    ) -> Answer:
        """One request on a new connection; operators name the host by its address."""
        host = host or ("127.0.0.1" if target.startswith("/-/") else "front.example")
        head = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        head += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            head.append(f"Content-Length: {len(body)}")
        raw = "\r\n".join([*head, "", ""]).encode("latin-1") + (body or b"")
        reader, writer = await self.open()
        try:
            writer.write(raw)
            async with asyncio.timeout(PATIENCE):
                return await read_answer(reader, method)
        finally:
            writer.close()

    async def talk(self, *parts: bytes) -> bytes:
        """Send bytes as they are and read until the front closes.

        The connection stays open both ways: a front drops the answer to a client that will send no more.
        """
        reader, writer = await self.open()
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.02)
        async with asyncio.timeout(PATIENCE):
            received = await reader.read()
        writer.close()
        return received

    async def states(self) -> dict[str, str]:
        """The state of each upstream by its address."""
        report = (await self.ask("/-/instances")).json()
        return {each["upstream"]: each["state"] for one in report["instances"] for each in one["upstreams"]}

    async def until(self, address: str, state: str) -> None:
        """Wait until an upstream is in a state."""
        async with asyncio.timeout(PATIENCE):
            while (await self.states()).get(address) != state:  # noqa: ASYNC110 -- another process's state
                await asyncio.sleep(0.05)

    async def in_flight(self) -> int:
        """How many requests are on their way to upstreams."""
        report = (await self.ask("/-/instances")).json()
        return sum(each["in_flight"] for one in report["instances"] for each in one["upstreams"])

    async def idle(self) -> None:
        """Wait until no request is on its way."""
        async with asyncio.timeout(PATIENCE):
            while await self.in_flight():  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.02)

    def write(self, instances: Mapping[str, Any], **more: Any) -> None:
        """Replace instances.yaml: a code to a list of addresses, or to all of its members."""
        write(self.file, LISTEN, instances, **more)


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    """One answer; its body by its length, its chunks, or the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head[:-4].decode("latin-1").split("\r\n")
    pairs = [each.partition(": ") for each in lines]
    answer = Answer(int(line.split(" ")[1]), [(name.lower(), value) for name, _, value in pairs], b"", head)
    if method == "HEAD" or answer.status in (204, 304):
        return answer
    if answer.values("transfer-encoding") == ["chunked"]:
        while part := await read_chunk(reader):
            answer.body += part
    elif answer.values("content-length"):
        answer.body = await reader.readexactly(int(answer.value("content-length")))
    else:
        answer.body = await reader.read()
    return answer


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk; empty at the end."""
    size = int((await reader.readuntil(b"\r\n"))[:-2], 16)
    part = await reader.readexactly(size)
    assert await reader.readexactly(2) == b"\r\n"
    return part


def write(file: Path, listen: str, instances: Mapping[str, Any], **more: Any) -> None:
    full = {code: one if isinstance(one, dict) else {"upstreams": one} for code, one in instances.items()}
    text = yaml.safe_dump({"listen": listen, "instances": full, **more})
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


@asynccontextmanager
async def managing(
    folder: Path,
    instances: Mapping[str, Any],
    *,
    timeouts: Timeouts | None = None,
    deadlines: Deadlines | None = None,
    **more: Any,
) -> AsyncIterator[Front]:
    """A manager of these instances, until the end of the block."""
    file = folder / "instances.yaml"
    write(file, LISTEN, instances, **more)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        manage(
            file,
            ready=address.set_result,
            now=lambda: datetime.now(UTC),
            new_request_id=lambda: str(uuid.uuid4()),
            timeouts=timeouts,
            deadlines=deadlines,
        )
    )
    await asyncio.wait({address, task}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    host, _, port = address.result().removeprefix("http://").rpartition(":")
    try:
        yield Front(host, int(port), file)
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(30):
            await task

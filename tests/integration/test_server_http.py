from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crm_core.server.limits import Deadlines
from crm_core.server.serve import serve

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
LARGE = bytes(12 * 1024 * 1024)  # more than the system buffers


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Report the request; some paths misbehave."""
    body = b""
    if scope["path"] == "/early":
        await answer(send, 413, b"no")
        return
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    if scope["path"] == "/broken":
        raise RuntimeError("secret")
    if scope["path"] == "/large":
        await answer(send, 200, LARGE)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    members = {
        "method": scope["method"],
        "path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "body": body.decode(),
        "client": scope["client"] is not None,
    }
    await answer(send, 200, json.dumps(members).encode())


async def answer(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


Talk = Callable[..., Awaitable[bytes]]


class Running:
    """A server in this process, and ways to talk to it."""

    def __init__(self, address: str) -> None:
        self.host, _, port = address.removeprefix("http://").rpartition(":")
        self.port = int(port)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def talk(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Send the parts and read until the server closes."""
        reader, writer = await self.open()
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        async with asyncio.timeout(20):
            received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return received


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """A server."""
    async with started() as running:
        yield running


@pytest.fixture
async def hasty() -> AsyncIterator[Running]:
    """A server with short deadlines."""
    async with started(deadlines=Deadlines(head=0.3, body=0.4)) as running:
        yield running


@asynccontextmanager
async def started(app: Any = application, **options: Any) -> AsyncIterator[Running]:
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, listen="127.0.0.1:0", ready=address.set_result, **options))
    await asyncio.wait({address, task}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield Running(address.result())
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await task


def problems(answers: bytes) -> dict[str, Any]:
    """The problem in an answer, or in the last of several; checks its form."""
    at = answers.rindex(b"HTTP/1.1 ", 0, answers.rindex(b"\r\ndate: "))
    head, _, body = answers[at:].partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    problem: dict[str, Any] = json.loads(body)
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"connection"] == b"close"
    assert fields[b"x-request-id"].decode() == problem["request_id"]
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}
    assert head.split(b" ")[1] == str(problem["status"]).encode()
    return problem


def echoed(answers: bytes) -> dict[str, Any]:
    return dict(json.loads(answers.rpartition(b"\r\n\r\n")[2]))


async def test_an_ordinary_request_is_answered(server: Running) -> None:
    """The application gets path, query and body; the answer has a date and names no server software."""
    answers = await server.talk(
        b"POST /a%20b?c=d HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert answers.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert b"server:" not in answers.lower()
    assert echoed(answers)["path"] == "/a%20b"
    assert echoed(answers)["query"] == "c=d"
    assert echoed(answers)["body"] == "hello"
    assert echoed(answers)["client"]


async def test_requests_share_a_connection_until_it_idles() -> None:
    """Two requests go over one connection, also pipelined; then an idle one is closed."""
    async with started(deadlines=Deadlines(idle=2.0)) as server:
        answers = await server.talk(HEAD + b"\r\n" + HEAD + b"\r\n", HEAD + b"\r\n", pause=0.1)
        assert answers.count(b"HTTP/1.1 200 OK") == 3
        assert await server.talk() == b""


@pytest.mark.parametrize(
    "parts",
    [
        [b"G"], [HEAD], [HEAD + b"X: y"], [HEAD, b"X: y\r\n"], [b"\r\n"],
        [HEAD + b"\r\n" + HEAD],
    ],
)  # fmt: skip
async def test_a_head_that_never_ends_is_timed_out(hasty: Running, parts: list[bytes]) -> None:
    """A head not complete in time gets a 408, however much of it came, also after an earlier request."""
    assert problems(await hasty.talk(*parts, pause=0.02))["code"] == "request_timeout"


async def test_dripping_does_not_extend_the_deadline(hasty: Running) -> None:
    """A byte now and then does not keep a head open."""
    reader, writer = await hasty.open()

    async def drip() -> None:
        for byte in HEAD * 100:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert problems(await reader.read())["code"] == "request_timeout"
    assert not dripping.done()
    dripping.cancel()
    writer.close()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_a_body_that_never_ends_is_timed_out(hasty: Running, framing: bytes) -> None:
    """A body not complete in time gets a 408."""
    problem = problems(await hasty.talk(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing))
    assert problem["code"] == "request_timeout"
    assert "body" in problem["detail"]


async def test_a_slow_body_within_its_time_is_taken(server: Running) -> None:
    """A body in parts that is complete in time is handed on whole."""
    parts = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nConnection: close\r\n\r\n", b"ab", b"cd", b"ef"]
    assert echoed(await server.talk(*parts, pause=0.05))["body"] == "abcdef"


async def test_a_slow_application_is_no_slow_client(server: Running) -> None:
    """Deadlines are the client's: an answer may take longer."""
    assert b"200 OK" in await server.talk(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "request_",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\xff\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused(server: Running, request_: bytes) -> None:
    """Requests that smuggle, and what is no HTTP at all, get one 400 as a problem, and the connection ends."""
    answers = await server.talk(request_)
    assert answers.count(b"\r\ndate: ") == 1
    problem = problems(answers)
    assert (problem["status"], problem["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("path", [b"/\xc3\xa9", b"/\x01", b"/a#b"])
async def test_a_path_with_raw_bytes_is_malformed(server: Running, path: bytes) -> None:
    """Bytes that must be escaped, and fragments, are a malformed path."""
    answers = await server.talk(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert problems(answers)["code"] == "malformed_path"


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"".join(b"X%d: y\r\n" % number for number in range(300)) + b"\r\n",
        HEAD + b"X: " + b"y" * 400_000,
    ],
)
async def test_a_head_over_its_limit_is_refused(server: Running, request_: bytes) -> None:
    """Too large a head gets a 431, whole or not."""
    assert problems(await server.talk(request_))["code"] == "head_too_large"


async def test_a_bad_request_behind_a_good_one_waits_for_its_answer(server: Running) -> None:
    """A malformed later request does not interrupt an answer in progress."""
    answers = await server.talk(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", b"nonsense\r\n\r\n", pause=0.05)
    assert answers.startswith(b"HTTP/1.1 200 OK")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert echoed(answers)["path"] == "/slow"


async def test_trailers_do_not_become_header_fields(server: Running) -> None:
    """Fields after a chunked body are dropped."""
    answers = await server.talk(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    )
    assert echoed(answers)["body"] == "hi"
    assert "authorization" not in [name for name, _ in echoed(answers)["headers"]]


async def test_a_body_of_framing_alone_is_refused(server: Running) -> None:
    """Chunk extensions and trailers cannot carry an unbounded amount past the body's limit."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: "
    assert problems(await server.talk(head, b"y" * 100_000, pause=0.05))["code"] == "malformed_request"


@pytest.mark.parametrize("cut", [None, 100])
async def test_an_offered_upgrade_is_passed_over(server: Running, cut: int | None) -> None:
    """A client that offers h2c (as Java's does) or websocket is answered in HTTP/1.1, its body is not lost."""
    request = (
        b"POST /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 5\r\nHost: a\r\n"
        b"HTTP2-Settings: AAEA\r\nUpgrade: h2c\r\n\r\nhello"
        b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    )
    answers = await server.talk(*([request] if cut is None else [request[:cut], request[cut:]]), pause=0.05)
    first, _, second = answers.partition(b"}HTTP/1.1")
    assert echoed(first + b"}")["body"] == "hello"
    assert echoed(second)["path"] == "/b"


async def test_many_offered_upgrades_in_one_write_are_answered(server: Running) -> None:
    """Thousands of pipelined requests that each offer an upgrade are all answered: none needs a deeper stack."""
    offer = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    last = b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = await server.talk(offer * 1999 + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 2000
    assert echoed(answers)["path"] == "/b"


async def test_an_early_refusal_reaches_a_client_that_still_sends(server: Running) -> None:
    """An answer before the body's end arrives, says that the connection closes, and the rest is not waited for."""
    head = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n"
    answers = await server.talk(head + b"x" * 100_000, b"x" * 50_000, pause=0.02)
    assert answers.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in answers
    assert answers.endswith(b"no")


async def test_a_failing_application_is_a_problem(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    """An exception is a 500 as a problem; its text is neither in the answer nor in the log."""
    answers = await server.talk(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
    assert problems(answers)["code"] == "internal_error"
    assert b"secret" not in answers
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


async def test_expect_continue_is_answered(server: Running) -> None:
    """A client that waits for 100 Continue gets it when the body is wanted."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    reader, writer = await server.open()
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"hi")
    assert echoed(await reader.read())["body"] == "hi"
    writer.close()


async def test_an_old_client_gets_no_100(server: Running) -> None:
    """HTTP/1.0 knows no interim responses: its client would take one for the answer (RFC 9110, section 10.1.1)."""
    old = await server.talk(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"hi", pause=0.05)
    assert old.startswith(b"HTTP/1.1 200 OK\r\n")
    assert echoed(old)["body"] == "hi"


async def in_parts(scope: Any, receive: Any, send: Any) -> None:
    """An answer of unknown length."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


async def test_an_old_client_gets_no_chunks() -> None:
    """HTTP/1.0 knows none (RFC 9112, section 6.1): an answer of unknown length ends with the connection."""
    async with started(in_parts) as server:
        old = await server.talk(b"GET / HTTP/1.0\r\n\r\n")
        assert old.partition(b"\r\n\r\n")[2] == b"onetwo"
        assert b"transfer-encoding" not in old.lower()
        assert (await server.talk(b"HEAD / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\n")
        new = await server.talk(HEAD + b"Connection: close\r\n\r\n")
        assert new.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


@pytest.mark.parametrize("ends", [b"", b"Connection: close\r\n"])
async def test_a_client_that_reads_nothing_is_cut_off(ends: bytes) -> None:
    """Its connection and its response are gone after the deadline; one that reads slowly gets all of it."""
    asking = b"GET /large HTTP/1.1\r\nHost: a\r\n" + ends + b"\r\n"
    async with started(deadlines=Deadlines(unread=2.0)) as server:
        slow, writer = await server.open()
        writer.write(asking)
        await slow.readuntil(b"\r\n\r\n")
        received = 0
        while received < len(LARGE):
            received += len(await slow.read(400_000))
            await asyncio.sleep(0.02)
        idle, other = await server.open()
        other.write(asking)
        await idle.readuntil(b"\r\n\r\n")
        await asyncio.sleep(5)
        async with asyncio.timeout(20):
            assert len(await idle.read()) < len(LARGE)
    for each in (writer, other):
        each.close()

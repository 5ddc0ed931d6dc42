from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from crm_core.manager.limits import Timeouts
from crm_core.server.limits import Deadlines
from fronts.inside import PATIENCE, managing, problem, read_answer, read_chunk
from fronts.standin import Seen, answering, upstream

MIB = 1024 * 1024


async def test_a_body_streams_in(tmp_path: Path) -> None:
    """Parts of a body reach the instance before the rest was sent."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        reader, writer = await front.open()
        writer.write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        async with asyncio.timeout(PATIENCE):
            while not (eu.seen and eu.seen[0].body == b"abc"):  # noqa: ASYNC110 -- what the other side has so far
                await asyncio.sleep(0.01)
        writer.write(b"2;ext=1\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert (await read_answer(reader)).body == b"ok"
        (seen,) = eu.seen
        assert (seen.body, seen.whole) == (b"abcde", True)
        assert not seen.values(b"x-trailer")
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies(tmp_path: Path, chunked: bool) -> None:
    """Large bodies arrive whole in both directions, in the framing that they came in."""
    big = bytes(range(256)) * (8 * MIB // 256)

    async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.body))
        writer.write(seen.body)

    async with upstream(echo) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        reader, writer = await front.open()
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(big)
        writer.write(b"PUT /i/eu1/x HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
        for at in range(0, len(big), MIB):
            part = big[at : at + MIB]
            writer.write(b"%x\r\n" % len(part) + part + b"\r\n" if chunked else part)
        if chunked:
            writer.write(b"0\r\n\r\n")
        assert (await asyncio.wait_for(read_answer(reader), PATIENCE)).body == big
        (seen,) = eu.seen
        assert seen.values(b"transfer-encoding") == ([b"chunked"] if chunked else [])
        writer.close()


async def test_expect_continue(tmp_path: Path) -> None:
    """The manager itself asks a client that waits for its body."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        reader, writer = await front.open()
        writer.write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert (await read_answer(reader)).status == 200
        assert not eu.seen[0].values(b"expect")
        writer.close()


async def test_an_answer_before_the_bodys_end(tmp_path: Path) -> None:
    """A refusal that the instance sends while reading reaches the client, and the rest is not carried."""
    sent = json.dumps({"code": "payload_too_large"}).encode()

    async def refuse(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent
        )
        await writer.drain()
        writer.write_eof()

    async with upstream(refuse, early=True) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        reader, writer = await front.open()
        writer.write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        writer.write(b"x" * 100_000)
        answer = await asyncio.wait_for(read_answer(reader), PATIENCE)
        assert (answer.status, answer.json()) == (413, {"code": "payload_too_large"})
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        assert len(eu.seen[0].body) < MIB
        writer.close()


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_a_body_that_is_late_is_not_waited_for(tmp_path: Path, framing: bytes) -> None:
    """The instance may refuse a request by its head, before any of its body was sent."""

    async def refuse(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 415 Unsupported Media Type\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.write_eof()

    async with upstream(refuse, early=True) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        reader, writer = await front.open()
        writer.write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
        answer = await asyncio.wait_for(read_answer(reader), PATIENCE)
        assert (answer.status, answer.value("connection")) == (415, "close")
        writer.close()


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_a_client_that_leaves_in_its_body(tmp_path: Path, framing: bytes) -> None:
    """A body that a client did not finish never looks complete to the instance."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        _, writer = await front.open()
        writer.write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n5\r\nabcde\r\n")
        async with asyncio.timeout(PATIENCE):
            while not eu.seen:  # noqa: ASYNC110 -- what the other side has so far
                await asyncio.sleep(0.01)
            writer.transport.abort()
            await eu.gone.wait()
        assert not eu.seen[0].whole


async def test_a_client_that_leaves_while_waiting(tmp_path: Path) -> None:
    """The instance learns immediately that the client has disconnected."""
    asked = asyncio.Event()

    async def never(seen: Seen, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(30)

    async with upstream() as eu:
        eu.respond = never
        async with managing(tmp_path, {"eu1": [eu.address]}) as front:
            _, writer = await front.open()
            writer.write(b"GET /i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n")
            await asyncio.wait_for(asked.wait(), PATIENCE)
            assert await front.in_flight() == 1
            writer.transport.abort()
            await front.idle()


async def test_a_late_body(tmp_path: Path) -> None:
    """A client that stops in its body gets 408 at its deadline, and the instance sees no complete request."""
    deadlines = Deadlines(body=1, linger=0.1)
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}, deadlines=deadlines) as front:
        reader, writer = await front.open()
        writer.write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        problem(await asyncio.wait_for(read_answer(reader), PATIENCE), 408, "request_timeout")
        await asyncio.wait_for(eu.gone.wait(), PATIENCE)
        assert not eu.seen[0].whole
        writer.close()


@pytest.mark.parametrize(
    ("framing", "rest"),
    [
        (b"Content-Length: 10", b"abc"),
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n"),
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\nzz\r\n"),
    ],
)
async def test_an_answer_that_breaks_off(tmp_path: Path, framing: bytes, rest: bytes) -> None:
    """An answer that the instance did not finish never looks finished to the client."""

    async def cut(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(rest)
        writer.close()

    async with upstream(cut) as eu, managing(tmp_path, {"eu1": [eu.address]}, timeouts=Timeouts(part=1)) as front:
        reader, writer = await front.open()
        writer.write(b"GET /i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ValueError)):
            await asyncio.wait_for(read_answer(reader), PATIENCE)
        assert await reader.read() == b""
        writer.close()
        (state,) = (await front.ask("/-/instances")).json()["instances"][0]["upstreams"]
        assert "broke off" in state["last_error"]["what"]


async def test_an_answer_without_a_length(tmp_path: Path) -> None:
    """An answer that ends with its connection arrives complete, framed again."""

    async def until_close(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nabc")
        writer.close()

    async with upstream(until_close) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        answer = await front.ask("/i/eu1/x")
        assert (answer.body, answer.values("transfer-encoding")) == (b"abc", ["chunked"])


async def test_events_come_immediately(tmp_path: Path) -> None:
    """The head of an event stream and each event reach the client as they are made; silence is no end."""
    more, end = asyncio.Event(), asyncio.Event()

    async def events(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await more.wait()
        writer.write(b"e\r\nevent: ready\n\n\r\n")
        await end.wait()
        writer.write(b"zz\r\n")
        writer.close()

    async with upstream(events) as eu, managing(tmp_path, {"eu1": [eu.address]}, timeouts=Timeouts(part=0.2)) as front:
        reader, writer = await front.open()
        writer.write(b"GET /i/eu1/t/n/api/v1/events HTTP/1.1\r\nHost: h\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert b"content-type: text/event-stream" in head.lower()
        await asyncio.sleep(0.5)
        more.set()
        assert await asyncio.wait_for(read_chunk(reader), PATIENCE) == b"event: ready\n\n"
        end.set()
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
        await front.idle()


@pytest.mark.parametrize("leaves", [False, True], ids=["down", "not in the file"])
async def test_events_end_with_an_upstream_that_hangs(tmp_path: Path, *, leaves: bool) -> None:
    """A silent stream is cut off while its upstream is down or no longer checked: its client connects to another."""

    async def events(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async with upstream(events) as eu, managing(tmp_path, {"eu1": [eu.address]}, timeouts=Timeouts(part=0.1)) as front:
        reader, writer = await front.open()
        writer.write(b"GET /i/eu1/events HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        await asyncio.sleep(0.5)
        assert not reader.at_eof()
        if leaves:
            front.write({"eu1": ["http://127.0.0.1:9"]})
        else:
            eu.ready = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()


async def test_answers_of_unreadable_form(tmp_path: Path) -> None:
    """Bytes that are no HTTP response make the instance unavailable."""
    async with upstream(answering(b"nonsense\r\n\r\n")) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        problem(await front.ask("/i/eu1/x"), 502, "instance_unavailable")

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from crm_core.errors import SetupError
from crm_core.manager.limits import Timeouts
from fronts.inside import PATIENCE, Front, managing, problem, read_answer, read_chunk, write
from fronts.standin import OK, Seen, upstream


async def until_served(front: Front, target: str, status: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await front.ask(target)).status != status:  # noqa: ASYNC110 -- another process's state
            await asyncio.sleep(0.05)


async def test_an_edit_drops_no_request(tmp_path: Path) -> None:
    """While instances come, go and change their upstreams, every request of those that stay is answered."""
    async with upstream() as a, upstream() as b, upstream() as us, managing(tmp_path, {"eu1": [a.address]}) as front:
        statuses: list[int] = []
        stop = asyncio.Event()

        async def asking(method: str, body: bytes | None) -> None:
            while not stop.is_set():
                statuses.append((await front.ask("/i/eu1/x", method, body)).status)

        clients = [asyncio.create_task(asking(*each)) for each in (("GET", None), ("POST", b"x" * 1000)) * 3]
        for upstreams in ([b.address], [a.address, b.address], [a.address]):
            front.write({"eu1": upstreams, "us2": [us.address]})
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(PATIENCE):
                while set(await front.states()) != {*upstreams, us.address}:  # noqa: ASYNC110 -- as above
                    await asyncio.sleep(0.05)
                known = len(statuses)
                while len(statuses) < known + 2 * len(clients):  # noqa: ASYNC110 -- each has begun one since
                    await asyncio.sleep(0.01)
        assert (await front.ask("/i/us2/x")).status == 200
        stop.set()
        await asyncio.gather(*clients)
        assert set(statuses) == {200}
        assert a.seen
        assert b.seen


async def test_a_request_goes_where_its_instance_is_when_its_body_comes(tmp_path: Path) -> None:
    """An upstream that is replaced between the head and the body of a request costs it nothing."""
    async with upstream() as old, upstream() as new, managing(tmp_path, {"eu1": [old.address]}) as front:
        for each in (new, old) * 5:
            reader, writer = await front.open()
            writer.write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n")
            await asyncio.sleep(0.01)
            front.write({"eu1": [each.address]})
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.02)
            writer.write(b"x")
            assert (await asyncio.wait_for(read_answer(reader), PATIENCE)).status == 200
            writer.close()


async def test_requests_in_progress_finish_on_their_upstream(tmp_path: Path) -> None:
    """A request and an event stream go on at an upstream that has left the file."""
    release = asyncio.Event()

    async def respond(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if b"events" not in seen.line:
            if seen.line.startswith(b"POST"):
                await release.wait()
            writer.write(OK)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await release.wait()
        writer.write(b"1\r\nx\r\n0\r\n\r\n")

    async with upstream(respond) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        slow, stream = await front.open(), await front.open()
        slow[1].write(b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
        stream[1].write(b"GET /i/eu1/events HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.wait_for(stream[0].readuntil(b"\r\n\r\n"), PATIENCE)
        front.write({"us2": [eu.address]})
        await until_served(front, "/i/eu1/x", 421)
        front.write({"us2": ["http://127.0.0.1:9"]})
        await until_served(front, "/i/us2/x", 502)
        release.set()
        assert (await asyncio.wait_for(read_answer(slow[0]), PATIENCE)).status == 200
        assert await asyncio.wait_for(read_chunk(stream[0]), PATIENCE) == b"x"
        for _, writer in (slow, stream):
            writer.close()


async def test_a_mistake_changes_nothing(tmp_path: Path) -> None:
    """Operators see a bad edit by line and column, and it changes nothing; nor does a missing file."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        for text, words in (
            ("instances: {EU: {upstreams: ['http://x']}}\n", "instances.yaml:1:13: `EU` is not a valid name"),
            (None, "instances.yaml:1:1: the file is gone"),
        ):
            if text is None:
                front.file.unlink()
            else:
                front.file.write_text(text)
            async with asyncio.timeout(PATIENCE):
                while words not in str((await front.ask("/-/instances")).json()["roster"]["error"]):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (await front.ask("/i/eu1/x")).status == 200
        front.write({"us2": [eu.address]})
        await until_served(front, "/i/us2/x", 200)
        problem(await front.ask("/i/eu1/x"), 421, "misdirected_instance")
        assert (await front.ask("/-/instances")).json()["roster"]["error"] is None


async def test_listening_elsewhere_takes_a_restart(tmp_path: Path) -> None:
    """An edit of listen is reported as not in effect."""
    async with managing(tmp_path, {"eu1": ["http://127.0.0.1:9"]}) as front:
        write(front.file, "127.0.0.1:1", {"eu1": ["http://127.0.0.1:9"]})
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while (error := (await front.ask("/-/instances")).json()["roster"]["error"]) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert error == "listen: still 127.0.0.1:0; restart the manager to change it"


async def test_a_file_that_does_not_load_at_first(tmp_path: Path) -> None:
    """The manager does not start on a bad file, and says what is wrong."""
    with pytest.raises(SetupError, match=r"instances.yaml:.*expected a list"):
        async with managing(tmp_path, {"eu1": {"upstreams": "http://x"}}):
            pass


async def test_a_stop_finishes_requests_in_progress(tmp_path: Path) -> None:
    """At SIGTERM requests are finished, and event streams end, so that they delay nothing."""
    asked, release, waited = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def respond(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if b"events" in seen.line:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(10)
            waited.set()
        asked.set()
        await release.wait()
        writer.write(OK)

    async with upstream(respond) as eu:
        async with managing(tmp_path, {"eu1": [eu.address]}) as front:
            slow, stream = await front.open(), await front.open()
            stream[1].write(b"GET /i/eu1/events HTTP/1.1\r\nHost: h\r\n\r\n")
            await asyncio.wait_for(stream[0].readuntil(b"x\r\n"), PATIENCE)
            slow[1].write(b"GET /i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n")
            await asyncio.wait_for(asked.wait(), PATIENCE)
            asyncio.get_running_loop().call_later(0.3, release.set)
        assert not waited.is_set()
        assert await stream[0].read() == b"0\r\n\r\n"
        assert (await read_answer(slow[0])).status == 200
        for _, writer in (slow, stream):
            writer.close()


@pytest.mark.parametrize(("method", "status"), [("GET", 502), ("POST", 200)])
async def test_a_stop_awaits_no_request_that_can_be_repeated(tmp_path: Path, method: str, status: int) -> None:
    """A wait for changes is 502 with Retry-After, and no listener is gone for its sake; a write is finished."""
    asked = asyncio.Event()

    async def respond(_: Seen, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(1)
        writer.write(OK)

    async with upstream(respond) as eu:
        async with managing(tmp_path, {"eu1": [eu.address]}, timeouts=Timeouts(last=0.2)) as front:
            reader, writer = await front.open()
            writer.write(b"%b /i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n" % method.encode())
            await asyncio.wait_for(asked.wait(), PATIENCE)
        answer = await read_answer(reader)
        assert answer.status == status
        assert answer.values("retry-after") == (["1"] if status == 502 else [])
        writer.close()

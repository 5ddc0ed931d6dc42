from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from crm_core.manager.limits import Timeouts
from free_ports import free_port
from fronts.inside import PATIENCE, managing, problem, read_answer
from fronts.standin import OK, Seen, StandIn, answering, upstream


async def named(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with the port that was asked."""
    port = str(writer.get_extra_info("sockname")[1]).encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(port), port))


async def test_an_upstream_that_is_down(tmp_path: Path) -> None:
    """A dead instance is 502 with Retry-After; others are not affected, and it is used again when it returns."""
    where = f"127.0.0.1:{free_port()}"
    async with upstream() as us, managing(tmp_path, {"eu1": [f"http://{where}"], "us2": [us.address]}) as front:
        for method, body in (("GET", None), ("POST", b"x")):
            answer = await front.ask("/i/eu1/x", method, body)
            problem(answer, 502, "instance_unavailable")
            assert answer.value("retry-after") == "1"
        assert (await front.ask("/i/us2/x")).status == 200
        async with upstream(where=where):
            assert (await front.ask("/i/eu1/x")).status == 200  # by itself, without waiting for a probe
            await front.until(f"http://{where}", "up")


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    """A unix socket without its process is a dead instance."""
    async with managing(tmp_path, {"eu1": ["unix:eu1.sock"]}) as front:
        problem(await front.ask("/i/eu1/x"), 502, "instance_unavailable")


async def test_spread(tmp_path: Path) -> None:
    """Requests are spread evenly over the upstreams of an instance, and the less busy one comes first."""
    async with upstream(named) as a, upstream(named) as b, managing(tmp_path, {"eu1": [a.address, b.address]}) as front:
        got = Counter([(await front.ask("/i/eu1/x")).body for _ in range(20)])
        assert got == {str(a.port).encode(): 10, str(b.port).encode(): 10}
        release = asyncio.Event()

        async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.write(OK)

        a.respond = slow
        waiting = []
        while len(a.seen) == 10:
            waiting.append(asyncio.create_task(front.ask("/i/eu1/x")))
            await asyncio.sleep(0.1)
        assert [(await front.ask("/i/eu1/x")).body for _ in range(4)] == [str(b.port).encode()] * 4
        release.set()
        assert all(each.status == 200 for each in await asyncio.gather(*waiting))


async def test_the_next_upstream_takes_over(tmp_path: Path) -> None:
    """A request of any kind goes to another upstream where one cannot be connected to; the client notices nothing."""
    dead = f"http://127.0.0.1:{free_port()}"
    async with upstream() as live, managing(tmp_path, {"eu1": [dead, live.address]}) as front:
        for at in range(10):
            assert (await front.ask("/i/eu1/x", "POST", b"%d" % at)).status == 200
        assert [seen.body for seen in live.seen] == [b"%d" % at for at in range(10)]


async def test_what_may_have_been_done_is_not_repeated(tmp_path: Path) -> None:
    """A request that an upstream may have carried out goes to no other, unless it is safe."""

    async def hang_up(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with (
        upstream(hang_up) as a,
        upstream(hang_up) as b,
        managing(tmp_path, {"eu1": [a.address, b.address]}) as front,
    ):
        for method in ("POST", "PATCH"):
            refusal = problem(await front.ask("/i/eu1/x", method, b"x"), 502, "instance_unavailable")
            assert "may have carried out" in refusal["detail"]
        assert len(a.seen) + len(b.seen) == 2
        b.respond = answering(OK)
        for _ in range(4):
            assert (await front.ask("/i/eu1/x")).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_slow_instance(tmp_path: Path, method: str) -> None:
    """An instance that does not answer in time is 504, and its connection is closed."""

    async def never(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with upstream(never) as eu, managing(tmp_path, {"eu1": [eu.address]}, timeouts=Timeouts(answer=1)) as front:
        problem(await front.ask("/i/eu1/x", method, b"x"), 504, "instance_timeout")
        assert await front.in_flight() == 0
        assert len(eu.seen) == 1


async def test_readiness(tmp_path: Path) -> None:
    """An upstream that says it is not ready is asked last, and again when it is ready."""
    unready = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    async with upstream(named, ready=unready) as a, upstream(named) as b:  # noqa: SIM117 -- in one it is a wall
        async with managing(tmp_path, {"eu1": [a.address, b.address]}) as front:
            await front.until(a.address, "down")
            assert {(await front.ask("/i/eu1/x")).body for _ in range(6)} == {str(b.port).encode()}
            (state, _) = (await front.ask("/-/instances")).json()["instances"][0]["upstreams"]
            assert state["last_error"]["what"] == "/readyz answered 503"
            await b.stop()
            assert (await front.ask("/i/eu1/x")).body == str(a.port).encode()  # better than none
            a.ready = OK
            await front.until(a.address, "up")


async def test_a_host_without_its_database_is_asked_last(tmp_path: Path) -> None:
    """As /readyz says: it serves, and would refuse all requests; the others get them until it is better."""
    body = b'{"status":"degraded","storage_up":false}'
    lost = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    async with upstream(named, ready=lost) as a, upstream(named) as b:  # noqa: SIM117 -- in one it is a wall
        async with managing(tmp_path, {"eu1": [a.address, b.address]}) as front:
            await front.until(a.address, "up")
            assert {(await front.ask("/i/eu1/x")).body for _ in range(6)} == {str(b.port).encode()}
            (state, other) = (await front.ask("/-/instances")).json()["instances"][0]["upstreams"]
            assert (state["storage_up"], other["storage_up"]) == (False, True)
            await b.stop()
            assert (await front.ask("/i/eu1/x")).body == str(a.port).encode()


async def test_drained(tmp_path: Path) -> None:
    """A drained upstream finishes what it has and gets nothing new; with none left the instance is unavailable."""
    release = asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(OK)

    async with upstream(slow) as a, upstream(named) as b, managing(tmp_path, {"eu1": [a.address]}) as front:
        reader, writer = await front.open()
        writer.write(b"GET /i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n")
        await _seen(a)
        both = [a.address, b.address]
        front.write({"eu1": {"upstreams": both, "drained": [a.address]}})
        await front.until(a.address, "drained")
        assert {(await front.ask("/i/eu1/x")).body for _ in range(6)} == {str(b.port).encode()}
        release.set()
        assert (await read_answer(reader)).status == 200
        writer.close()
        front.write({"eu1": {"upstreams": both, "drained": list(both)}})
        await front.until(b.address, "drained")
        problem(await front.ask("/i/eu1/x"), 502, "instance_unavailable")


async def test_one_that_hangs_leaves_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream gets a limited number of requests at a time; more are refused immediately."""
    monkeypatch.setattr("crm_core.manager.upstream.MAX_IN_FLIGHT", 3)

    release = asyncio.Event()

    async def late(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(OK)

    async with upstream(late) as eu, upstream() as us:  # noqa: SIM117 -- as above
        async with managing(tmp_path, {"eu1": [eu.address], "us2": [us.address]}) as front:
            waiting = [asyncio.create_task(front.ask("/i/eu1/x")) for _ in range(3)]
            async with asyncio.timeout(PATIENCE):
                while await front.in_flight() < 3:  # noqa: ASYNC110 -- another process's state
                    await asyncio.sleep(0.01)
            problem(await front.ask("/i/eu1/x"), 502, "instance_unavailable")
            assert (await front.ask("/i/us2/x")).status == 200
            release.set()
            assert {each.status for each in await asyncio.gather(*waiting)} == {200}


async def _seen(stand_in: StandIn, count: int = 1) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(stand_in.seen) < count:  # noqa: ASYNC110 -- what the other side has so far
            await asyncio.sleep(0.01)


async def test_event_streams_leave_room_for_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open pages do not count against the limit, however many there are."""
    monkeypatch.setattr("crm_core.manager.upstream.MAX_IN_FLIGHT", 3)
    end = asyncio.Event()

    async def respond(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if b"events" not in seen.line:
            writer.write(OK)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        await end.wait()
        writer.close()

    async with upstream(respond) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        streams = [await front.open() for _ in range(5)]
        for reader, writer in streams:
            writer.write(b"GET /i/eu1/events HTTP/1.1\r\nHost: h\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert await front.in_flight() == 5
        assert (await front.ask("/i/eu1/x")).status == 200
        end.set()
        for _, writer in streams:
            writer.close()
        await front.idle()

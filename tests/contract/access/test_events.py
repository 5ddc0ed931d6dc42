from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from crm_core.access import feeds as feeds_module
from crm_core.model.change_cursor import ChangeCursor
from crm_core.plugin.storage import Unit
from event_streams import record
from served import ALL, Instance, instance, problem

Event = tuple[str, str, Any]


async def events_of(answer: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream as id, name and data."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line and not line.startswith(":"):
            fields[name] = value
        elif "event" in fields:
            yield fields["id"], fields["event"], msgspec.json.decode(fields["data"])
            fields = {}


@asynccontextmanager
async def stream(live: Instance, credential: str, **headers: str) -> AsyncIterator[AsyncIterator[Event]]:
    """An open stream, past its ready event."""
    async with live.client(credential) as client, client.stream("GET", "events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        events = events_of(answer)
        assert (await following(events))[1] == "ready"
        yield events


async def following(events: AsyncIterator[Event]) -> Event:
    """The next event, which comes before the first heartbeat."""
    async with asyncio.timeout(10):
        return await anext(events)


async def test_a_push_and_a_record_each_send_events(live: Instance) -> None:
    """Each event has the data of the contract; each id is its own."""
    token = await live.token("customers:read", "customers:write", "sync:read")
    async with stream(live, token) as events, live.client(token) as client:
        pushed = await live.push("features", {"plan": ALL})
        made = (await client.post("customers", json={"name": "Ada"})).json()
        applied, modules, created = [await following(events) for _ in range(3)]
        assert applied[1:] == (
            "sync.applied",
            {
                "type": "features",
                "version": pushed["version"],
                "revision": pushed["revision"],
                "request_id": pushed["request_id"],
            },
        )
        assert modules[1:] == ("modules.changed", {"modules": pushed["modules"]})
        assert created[1:] == ("record.changed", {"type": "customers", "id": made["id"], "revision": 1})
        assert len({applied[0], modules[0], created[0]}) == 3
    async with stream(live, token, **{"Last-Event-ID": applied[0]}) as events:
        assert [await following(events) for _ in range(2)] == [modules, created]


@pytest.mark.parametrize("cut", [1, 100, 199])
async def test_a_stream_that_is_cut_within_a_batch_resumes_with_the_next_event(live: Instance, cut: int) -> None:
    """Of the 200 records of a batch each arrives once, across a connection that was closed after some of them."""
    token = await live.token("customers:read", "customers:write")
    batch = {"items": [{"name": f"Customer {number}", "external_id": f"c{number}"} for number in range(200)]}
    async with live.client(token) as client:
        async with stream(live, token) as events:
            answer = await client.post("customers/batch", json=batch)
            assert answer.status_code == 200, answer.text
            heard = [await following(events) for _ in range(cut)]
        async with stream(live, token, **{"Last-Event-ID": heard[-1][0]}) as events:
            heard += [await following(events) for _ in range(200 - cut)]
            last = (await client.post("customers", json={"name": "Last"})).json()
            heard.append(await following(events))
    assert [data["id"] for _, _, data in heard] == [*(one["id"] for one in answer.json()["results"]), last["id"]]
    assert len({at for at, _, _ in heard}) == 201


async def test_a_stream_that_is_cut_after_every_event_loses_none(live: Instance) -> None:
    """Of the 200 records of a batch each arrives once, one for each of 200 connections."""
    token = await live.token("customers:read", "customers:write")
    batch = {"items": [{"name": f"Customer {number}"} for number in range(200)]}
    async with live.client(token) as client:
        last = (await client.get("changes")).json()["next"]
        answer = await client.post("customers/batch", json=batch)
    heard = []
    for _ in range(200):
        reader, writer = await plain_stream(live, token, last)
        await reader.readuntil(b"id: ")
        last = (await reader.readline()).decode().strip()
        await reader.readuntil(b"data: ")
        heard.append(msgspec.json.decode(await reader.readline())["id"])
        writer.close()
    assert heard == [one["id"] for one in answer.json()["results"]]


async def test_a_stream_needs_a_credential_and_no_query(live: Instance) -> None:
    """Without a credential there is no stream; an unknown parameter is refused."""
    async with live.client() as client:
        problem(await client.get("events"), 401, "unauthenticated")
    async with live.client(await live.token()) as client:
        problem(await client.get("events?since=1"), 400, "unknown_parameter")
        async with client.stream("GET", "events", headers={"Last-Event-ID": "nonsense"}) as answer:
            events = events_of(answer)
            assert [(await following(events))[1] for _ in range(2)] == ["ready", "reset"]


async def test_head_describes_the_stream_and_begins_none(live: Instance) -> None:
    """HEAD answers with the head alone; the connection serves the next request."""
    async with live.client(await live.token()) as client:
        answer = await client.head("events")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        assert live.services.feeds.open_streams == 0
        assert (await client.get("customers")).status_code == 200


async def test_logout_ends_the_stream_immediately(live: Instance) -> None:
    """The stream of a sign-in is over with its logout."""
    token = await live.user("agent")
    async with stream(live, token) as events, live.client(token) as client:
        await client.post("auth/logout")
        with pytest.raises(StopAsyncIteration):
            await following(events)


async def test_closed_connections_are_let_go(live: Instance) -> None:
    """A client that hangs up leaves nothing behind, also while it is sent what it missed."""
    token = await live.token("customers:read")
    backend, missed = live.services.backend, tuple(record("customers", number) for number in range(5000))
    before = await backend.changes("northwind", None)
    await backend.commit("northwind", Unit(now=0, changes=missed))
    (await plain_stream(live, token, str(ChangeCursor(before.epoch, before.newest))))[1].close()
    async with asyncio.timeout(20):
        while live.services.feeds.open_streams:  # noqa: ASYNC110 -- the server sends no signal
            await asyncio.sleep(0.01)
    for _ in range(3):
        async with stream(live, token), live.client() as client:
            assert live.services.feeds.open_streams == 1
            assert "\ncrm_event_streams 1.0\n" in (await client.get(f"{live.url}/metrics")).text
        async with asyncio.timeout(20):
            while live.services.feeds.open_streams:  # noqa: ASYNC110 -- the server sends no signal
                await asyncio.sleep(0.01)


async def test_one_too_many_is_429(live: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit a stream is refused with the seconds to wait; streams of another tenant go on opening."""
    monkeypatch.setattr(feeds_module, "MAX_STREAMS", 2)
    token = await live.token()
    async with stream(live, token), stream(live, token), live.client(token) as client:
        answer = await client.get("events")
        problem(answer, 429, "too_many_streams")
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.slow
async def test_two_hundred_streams_are_cheap_and_quick(tmp_path: Path) -> None:
    """Open streams cost under 40 MB, both ends counted; a push reaches all; they end before the drain does."""
    async with instance(tmp_path) as live:
        tokens = [await live.token("sync:read") for _ in range(10)]
        await live.push("features", {"plan": ALL})
        (await plain_stream(live, tokens[0]))[1].close()
        before = resident()
        opened = [await plain_stream(live, token) for token in tokens for _ in range(20)]
        cost = resident() - before
        await live.push("branding", {"title": "Northwind"})
        heard = await asyncio.gather(*(reader.readuntil(b"event: sync.applied") for reader, _ in opened))
        assert len(heard) == 200
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(15):  # the drain takes 20 s if something delays it
            await asyncio.gather(*(reader.read() for reader, _ in opened))
        for _, writer in opened:
            writer.close()
    assert cost < 40e6, f"{cost / 1e6:.1f} MB"


async def plain_stream(live: Instance, token: str, last: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream over a bare socket, past its ready event: the clients of libraries use more memory than is measured."""
    host, _, port = live.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    resumed = f"Last-Event-ID: {last}\r\n" if last else ""
    head = f"GET /i/eu1/t/northwind/api/v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}{resumed}\r\n".encode())
    await reader.readuntil(b"event: ready")
    return reader, writer


def resident() -> int:
    """Bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

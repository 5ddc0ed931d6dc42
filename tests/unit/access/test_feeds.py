from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from crm_core.access import feeds as feeds_module
from crm_core.access import streams as streams_module
from crm_core.access.feeds import Feeds
from crm_core.errors import TooManyStreams
from crm_core.model.change_cursor import ChangeCursor
from crm_core.plugin.storage import Unit
from event_streams import SOON, Reader, after, parts, seen


async def test_each_stream_gets_what_its_caller_may_see(
    access: Any, listening: Any, changes: Any, by_token: Any
) -> None:
    """Users and tokens with sync:read get events of pushes; callers who may read a type get its records' events."""
    user = await access.caller(await access.user(role="agent", assignment=["tasks.*"]))
    async with (
        listening(user) as person,
        listening(await by_token("customers:read")) as reader,
        listening(await by_token("sync:read")) as watcher,
        listening(await by_token("customers:write")) as writer,
    ):
        seqs = [await changes(subject) for subject in ("customers", "tasks", "sync", "deals")]
        end = await changes("customers", 9)
        assert await reader.next() == (seqs[0], "record.changed", seen("customers", 0))
        assert await reader.next() == (end, "record.changed", seen("customers", 9))
        assert [(await person.next())[:2] for _ in range(3)] == [
            (seqs[1], "record.changed"),
            (seqs[2], "sync.applied"),
            (after(seqs[2], 1), "modules.changed"),
        ]
        assert [(await watcher.next())[:2] for _ in range(2)] == [
            (seqs[2], "sync.applied"),
            (after(seqs[2], 1), "modules.changed"),
        ]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.next()


async def test_another_tenant_hears_nothing(access: Any, feeds: Feeds, changes: Any) -> None:
    """Events of one tenant reach only streams of that tenant."""
    text, _ = await access.tokens.create("south", scopes=["customers:read"], by=None)
    async with parts(feeds, "south", await access.callers.bearer("south", text)) as frames:
        reader = Reader(frames)
        await reader.next()
        await changes("customers")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.next()


@pytest.mark.parametrize("how", ["logout", "disabled", "password", "revoked", "expired"])
async def test_streams_end_with_the_credential(access: Any, listening: Any, how: str) -> None:
    """Logout, disabling, a new password, revocation and expiry end the open streams of that credential alone."""
    stored = await access.user()
    bystander = await access.caller(await access.user("bob@example.com"))
    text, token = await access.tokens.create("north", scopes=["sync:read"], by=None)
    caller = (
        await access.caller(stored) if how not in ("revoked", "expired") else await access.callers.bearer("north", text)
    )
    async with listening(caller) as stream, listening(bystander) as other:
        if how == "logout":
            await access.sessions.end("north", caller.session)
        elif how == "disabled":
            await access.users.update("north", stored.user.id, {"disabled": True}, None)
        elif how == "password":
            await access.users.update("north", stored.user.id, {"password": "another long one"}, None)
        elif how == "revoked":
            await access.tokens.revoke("north", token.id, by=None)
        else:
            access.clock.forward(days=40)
            await access.backend.commit("north", Unit(now=0))
        if how == "expired":  # a session's week is over, a token without an end continues
            assert await other.ended()
            assert not await stream.ended(0.3)
        else:
            assert await stream.ended()
            assert not await other.ended(0.3)


async def test_rights_are_decided_again_for_every_delivery(
    access: Any, listening: Any, changes: Any, by_token: Any
) -> None:
    """A push that removes a module stops its events; the stream of a caller with no rights left ends."""
    async with (
        listening(await by_token("customers:read", "tasks:read")) as both,
        listening(await by_token("customers:read")) as only,
        listening(await access.caller(await access.user(role="viewer"))) as person,
    ):
        await changes("customers", 1)
        assert (await both.next())[2] == seen("customers", 1)
        await access.push({"plan": {"code": "p", "name": "P", "features": ["tasks.*"]}})
        await changes("customers", 2)
        await changes("tasks", 3)
        assert (await both.next())[2] == seen("tasks", 3)
        assert [(await person.next())[2] for _ in range(2)] == [seen("customers", 1), seen("tasks", 3)]
        assert await only.ended()


async def test_shutdown_ends_every_stream(feeds: Feeds, listening: Any, by_token: Any) -> None:
    """Once the server drains, streams end by themselves and nothing is left running."""
    async with listening(await by_token("sync:read")) as one, listening(await by_token("sync:read")) as two:
        feeds._stop.set()
        assert await one.ended()
        assert await two.ended()
    assert feeds.open_streams == 0
    assert feeds._channels == {}


class Lagging:
    """Views of a slow store: a read returns when the test lets it."""

    def __init__(self, views: Any) -> None:
        self._views = views
        self.pending: list[asyncio.Event] = []

    async def of(self, tenant: str) -> Any:
        return await self._views.of(tenant)

    async def with_view(self, tenant: str) -> Any:
        result = await self._views.with_view(tenant)
        if self.pending:
            await self.pending.pop(0).wait()
        return result


async def test_nothing_is_lost_while_a_stream_opens(access: Any, changes: Any, by_token: Any) -> None:
    """A commit after a stream has read its view is delivered, also if another stream started the pump."""
    caller, views = await by_token("customers:read"), Lagging(access.views)
    made = Feeds(access.backend, views, access.callers, asyncio.Event())  # type: ignore[arg-type]
    arrives = asyncio.Event()
    views.pending = [arrives]
    opening = asyncio.create_task(made.open("north", caller, None))
    await asyncio.sleep(0)
    one = await changes("customers", 1)
    async with parts(made, "north", caller) as quick:
        assert b"event: ready" in await anext(quick)
        two = await changes("customers", 2)
        assert (await Reader(quick).next())[0] == two
        arrives.set()
        async with aclosing(made.parts(await opening)) as slow:
            reader = Reader(slow)
            assert (await reader.next())[1] == "ready"
            assert [(await reader.next())[0] for _ in range(2)] == [one, two]
            three = await changes("customers", 3)
            assert (await reader.next())[0] == three


async def test_one_stream_too_many_is_refused(
    feeds: Feeds, listening: Any, by_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit of a tenant a stream is refused before its first frame; a closed one makes room."""
    monkeypatch.setattr(feeds_module, "MAX_STREAMS", 2)
    caller = await by_token("sync:read")
    async with listening(caller):
        async with listening(caller):
            with pytest.raises(TooManyStreams):
                await feeds.open("north", caller, None)
            assert feeds.open_streams == 2
        async with listening(caller):
            pass


async def test_one_caller_does_not_get_all_streams(
    feeds: Feeds, listening: Any, by_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past a caller's own limit its next stream is refused; another caller of the tenant still gets one."""
    monkeypatch.setattr(feeds_module, "MAX_STREAMS_OF_CALLER", 2)
    greedy, other = await by_token("sync:read"), await by_token("sync:read")
    async with listening(greedy), listening(greedy):
        with pytest.raises(TooManyStreams, match="one caller") as refused:
            await feeds.open("north", greedy, None)
        assert refused.value.retry_after == 10
        async with listening(other):
            assert feeds.open_streams == 3


async def test_a_reader_that_falls_behind_is_let_go(
    feeds: Feeds, listening: Any, changes: Any, by_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for a slow reader is bounded: its stream ends, no longer counts, and can go on by its last id."""
    monkeypatch.setattr(streams_module, "BACKLOG", 3)
    caller = await by_token("customers:read")
    async with listening(caller) as slow:
        last = await changes("customers", 0)
        assert (await slow.next())[0] == last
        await asyncio.gather(*(changes("customers", number) for number in range(1, 6)))
        async with asyncio.timeout(SOON):
            while feeds.open_streams:  # noqa: ASYNC110 -- the client reads nothing
                await asyncio.sleep(0.01)
        assert await slow.ended()
    async with listening(caller, last) as again:
        assert sorted([(await again.next())[2]["revision"] for _ in range(5)]) == [1, 2, 3, 4, 5]


async def test_silence_is_broken_by_heartbeats(
    feeds: Feeds, by_token: Any, monkeypatch: pytest.MonkeyPatch, changes: Any
) -> None:
    """A stream without events sends comments, also while other streams get many events."""
    monkeypatch.setattr(feeds_module, "HEARTBEAT", 0.3)
    async with parts(feeds, "north", await by_token("customers:read")) as frames:
        await anext(frames)
        async with asyncio.timeout(SOON):
            assert (await anext(frames)).startswith(b":")
            for number in range(4):
                await changes("deals", number)
                await asyncio.sleep(0.1)
            assert (await anext(frames)).startswith(b":")


async def test_a_store_that_goes_away_ends_the_streams(access: Any, listening: Any, by_token: Any) -> None:
    """Clients of a tenant that was given another name are let go, and learn of it when they come back."""
    async with listening(await by_token("sync:read")) as reader:
        await access.backend.rename("north", "elsewhere")
        assert await reader.ended()


async def test_a_wait_that_is_cancelled_leaves(feeds: Feeds, by_token: Any) -> None:
    """A request whose wait was cancelled leaves without an error, and counts no longer."""
    page = await feeds._backend.changes("north", None)
    waiter = await feeds.wait("north", await by_token("sync:read"), (), ChangeCursor(page.epoch, page.newest), 30)
    waiting = asyncio.create_task(waiter.called())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    feeds.leave(waiter)
    assert feeds.open_streams == 0

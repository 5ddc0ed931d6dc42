"""Event streams: committed changes, sent to callers for as long as they may see them.

They are readers of the change log. Each tenant with open streams has one pump. It waits for the store, reads new
entries once for all streams, and looks each caller up again before every delivery: a caller who signed out, was
disabled or lost the right gets nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Final

import msgspec

from crm_core.access.callers import Callers
from crm_core.access.stored_streams import StoredStreams
from crm_core.access.streams import (
    MAX_STREAMS,
    MAX_STREAMS_OF_CALLER,
    Reader,
    Stream,
    Waiter,
    too_many_of_caller,
    too_many_of_tenant,
)
from crm_core.errors import CrmError, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor
from crm_core.model.change_log import MODULES_CHANGED, RECORD_CHANGED, SYNC_APPLIED, ChangeEntry
from crm_core.plugin.query import ChangePage, StoredChange
from crm_core.plugin.storage import StorageBackend
from crm_core.server_log import ServerLog
from crm_core.workspace import Views, Workspace, may

HEARTBEAT: Final = 15.0  # seconds; proxies close connections that are silent for longer
_INTERVAL: Final = 0.2  # seconds between deliveries; events in between are sent together
_BATCH: Final = 500  # entries read at a time
_SYNC_EVENTS: Final = frozenset({SYNC_APPLIED, MODULES_CHANGED})
_COMMENT: Final = b": still here\n\n"

_log = ServerLog("crm.access")


def frame(event: str, cursor: ChangeCursor, data: bytes) -> bytes:
    """An event on the wire (WHATWG HTML, section 9.2.5, server-sent events); ``data`` is JSON on one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(cursor).encode(), event.encode(), data)


def may_see(workspace: Workspace, caller: Caller, entry: ChangeEntry) -> bool:
    """Whether a caller may see an event."""
    if entry.event == RECORD_CHANGED:
        return may(workspace, caller, f"{entry.type}.view")
    return entry.event in _SYNC_EVENTS and _may_see_sync(caller)


def may_see_any(workspace: Workspace, caller: Caller) -> bool:
    """Whether there is any event that a caller could see."""
    seen = (*workspace.modules.states, *workspace.catalog.guards)
    return _may_see_sync(caller) or any(may(workspace, caller, f"{name}.view") for name in seen)


def _may_see_sync(caller: Caller) -> bool:
    return caller.kind == "user" or "sync:read" in caller.scopes


class _Channel:
    """The open streams of a tenant, and how far its pump has read: the change log up to a place, units up to a seq."""

    def __init__(self) -> None:
        self.streams: set[Reader] = set()
        self.epoch, self.place, self.seq = "", 0, 0
        self.pump: asyncio.Task[None] | None = None


class Feeds:
    """The open streams of all tenants. ``stop``: set at shutdown, which ends them.

    ``stored`` counts them over all processes, if there are several. ``observers`` get the number of open streams here
    when it changes.
    """

    def __init__(
        self,
        backend: StorageBackend,
        views: Views,
        callers: Callers,
        stop: asyncio.Event,
        stored: StoredStreams | None = None,
    ) -> None:
        self._backend = backend
        self._views = views
        self._callers = callers
        self._stop = stop
        self.stored = stored
        self._channels: dict[str, _Channel] = {}
        self.open_streams = 0
        self.observers: list[Callable[[int], None]] = []

    def _count(self, more: int) -> None:
        self.open_streams += more
        for observe in self.observers:
            observe(self.open_streams)

    async def listen(self, tenant: str, caller: Caller, after: ChangeCursor | None) -> AsyncGenerator[bytes, None]:
        """The frames of a new stream: ready, the events missed since ``after``, then new ones.

        Ends when the caller may see no more events, falls too far behind, or the server shuts down.

        Raises:
            TooManyStreams: before the first frame, if the tenant or the caller has as many as it may.
        """
        stream = Stream(caller, _loop_time())
        async with self._joined(tenant, stream) as (channel, page):
            until = _newest(page) if after is None else after
            # The pump may have advanced while this stream read its place.
            behind = after is not None or channel.place > until.place
            yield b"retry: 2000\n" + frame("ready", until, b"{}")
            if behind:
                async for reached, missed in self._missed(tenant, caller, until):
                    until = reached
                    yield missed
            async for content in stream.after(until.place):
                yield content

    @asynccontextmanager
    async def waiting(self, tenant: str, caller: Caller, types: tuple[str, ...]) -> AsyncIterator[Waiter]:
        """A waiter for records of these types; it counts as a stream. Raises TooManyStreams."""
        waiter = Waiter(caller, _loop_time(), types)
        async with self._joined(tenant, waiter):
            yield waiter

    @asynccontextmanager
    async def _joined(self, tenant: str, stream: Reader) -> AsyncIterator[tuple[_Channel, ChangePage]]:
        """A stream among the tenant's, whose pump runs, and where the change log was then. Raises TooManyStreams."""
        channel = self._add_stream(tenant, stream)
        counted = nullcontext() if self.stored is None else self.stored.counted(tenant, stream.caller.actor)
        try:
            async with counted:
                page = await self._backend.changes(tenant, None)
                stream.had_rights = may_see_any(await self._views.of(tenant), stream.caller)
                if channel.pump is None:
                    channel.epoch, channel.place, channel.seq = page.epoch, page.newest, page.seq
                    channel.pump = asyncio.create_task(self._pump(tenant, channel))
                yield channel, page
        finally:
            self._remove_stream(tenant, channel, stream)

    def _add_stream(self, tenant: str, stream: Reader) -> _Channel:
        channel = self._channels.setdefault(tenant, _Channel())
        if len(channel.streams) >= MAX_STREAMS:
            raise too_many_of_tenant()
        if sum(each.caller.actor == stream.caller.actor for each in channel.streams) >= MAX_STREAMS_OF_CALLER:
            raise too_many_of_caller()
        channel.streams.add(stream)
        self._count(1)
        return channel

    def _remove_stream(self, tenant: str, channel: _Channel, stream: Reader) -> None:
        channel.streams.discard(stream)
        self._count(-1)
        if not channel.streams:
            self._drop(tenant, channel)
            if channel.pump is not None:
                channel.pump.cancel()

    def _drop(self, tenant: str, channel: _Channel) -> None:
        """Give streams that open from now on a new channel."""
        if self._channels.get(tenant) is channel:
            del self._channels[tenant]

    async def _missed(
        self, tenant: str, caller: Caller, after: ChangeCursor
    ) -> AsyncIterator[tuple[ChangeCursor, bytes]]:
        """The events since ``after`` and how far they reach; ``reset`` if the store does not know them (any more)."""
        while True:
            page = await self._backend.changes(tenant, after.place, _BATCH)
            if page.entries is None or page.epoch != after.epoch:
                yield _newest(page), frame("reset", _newest(page), b"{}")
                return
            if not page.entries:
                return
            workspace = await self._views.of(tenant)
            after = ChangeCursor(page.epoch, page.entries[-1].place)
            seen = (each for each in page.entries if may_see(workspace, caller, each.entry))
            yield after, b"".join(_framed(page.epoch, each) for each in seen)

    async def _pump(self, tenant: str, channel: _Channel) -> None:
        """Deliver until the last stream closes. An error ends the streams: their clients reconnect."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await self._deliver(tenant, channel, stopping)
        except CrmError:
            pass  # the store or the tenant is gone: clients learn that when they reconnect
        except Exception as error:  # noqa: BLE001  # the boundary: no stream may stay open without its pump
            _log.error("event_streams_failed", tenant=tenant, error=type(error).__name__)
        finally:
            stopping.cancel()
            self._drop(tenant, channel)
            for stream in channel.streams:
                stream.end()

    async def _deliver(self, tenant: str, channel: _Channel, stopping: asyncio.Task[bool]) -> None:
        while True:
            waiting = asyncio.create_task(self._backend.wait(tenant, channel.seq))
            try:
                await asyncio.wait({waiting, stopping}, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if stopping.done():
                return
            if waiting.done():
                waiting.result()  # raises if the store is gone, which ends the streams
            page = await self._backend.changes(tenant, channel.place, _BATCH)
            workspace = await self._views.of(tenant)  # after the changes: no rights that are older than they
            entries = page.entries if page.epoch == channel.epoch else None
            channel.epoch, channel.place = page.epoch, entries[-1].place if entries else page.newest
            if channel.place == page.newest:  # otherwise more is to be read now
                channel.seq = page.seq
            await self._send(tenant, channel.streams, workspace, page, entries)
            await asyncio.wait({stopping}, timeout=_INTERVAL)

    async def _send(
        self,
        tenant: str,
        streams: set[Reader],
        workspace: Workspace,
        page: ChangePage,
        entries: tuple[StoredChange, ...] | None,
    ) -> None:
        frames = [(stored, _framed(page.epoch, stored)) for stored in entries or ()]
        for stream in tuple(streams):
            try:
                caller = stream.caller = await self._callers.current(tenant, stream.caller)
            except Unauthenticated:
                stream.end()
                continue
            at = _loop_time()
            if entries is None:
                stream.send(page.newest, frame("reset", _newest(page), b"{}"), at)
            for stored, content in frames:
                if stream.wants(stored.entry) and may_see(workspace, caller, stored.entry):
                    stream.send(stored.place, content, at)
            if at - stream.last_frame_at >= HEARTBEAT - _INTERVAL:
                stream.send(None, _COMMENT, at)
            has_rights = may_see_any(workspace, caller)
            if stream.had_rights and not has_rights:
                stream.end()
            stream.had_rights = has_rights


def _newest(page: ChangePage) -> ChangeCursor:
    return ChangeCursor(page.epoch, page.newest)


def _framed(epoch: str, stored: StoredChange) -> bytes:
    entry = stored.entry
    data = entry.data if entry.data is not None else {"type": entry.type, "id": entry.id, "revision": entry.revision}
    return frame(entry.event, ChangeCursor(epoch, stored.place), msgspec.json.encode(data))


def _loop_time() -> float:
    return asyncio.get_running_loop().time()

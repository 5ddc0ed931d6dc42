"""Event streams: committed changes, sent to callers for as long as they may see them.

They are readers of the change log. Each tenant with open streams has one pump. It waits for the store, reads new
entries once for all streams, and looks each caller up again before every delivery: a caller who signed out, was
disabled or lost the right gets nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec

from crm_core.access.callers import Callers
from crm_core.access.stored_streams import StoredStreams
from crm_core.access.streams import (
    MAX_STREAMS,
    MAX_STREAMS_OF_CALLER,
    Channel,
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
    """Whether the caller may see any event."""
    seen = (*workspace.modules.states, *workspace.catalog.guards)
    return _may_see_sync(caller) or any(may(workspace, caller, f"{name}.view") for name in seen)


def _may_see_sync(caller: Caller) -> bool:
    return caller.kind == "user" or "sync:read" in caller.scopes


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
        self._channels: dict[str, Channel] = {}
        self.open_streams = 0
        self.observers: list[Callable[[int], None]] = []

    def _count(self, more: int) -> None:
        self.open_streams += more
        for observe in self.observers:
            observe(self.open_streams)

    async def open(self, tenant: str, caller: Caller, after: ChangeCursor | None) -> Stream:
        """A new stream: ready, the events missed since ``after``, then new ones. It counts until it leaves.

        It ends when the caller may see no more events, falls too far behind, or the server shuts down.

        Raises:
            TooManyStreams: if the tenant or the caller has reached the limit.
        """
        stream = Stream(caller, _loop_time())
        page, channel = await self._join(tenant, stream)
        stream.after = _newest(page) if after is None else after
        # The pump may have advanced while this stream read its place.
        stream.missed = after is not None or channel.place > stream.after.place
        stream.opening = b"retry: 2000\n" + frame("ready", stream.after, b"{}")
        return stream

    async def part(self, stream: Stream) -> bytes | None:
        """The next part of a stream, empty if nothing waits; None once it has ended, and left.

        It also ends if the events that it missed cannot be read.
        """
        channel = stream.channel
        if stream.ended or channel is None:
            self.leave(stream)
            return None
        if stream.opening:
            opening, stream.opening = stream.opening, b""
            return opening
        if not stream.missed:
            return stream.take()
        try:
            return await self._missed(channel.tenant, stream)
        except CrmError:  # as in the pump: the client learns why when it reconnects
            self.leave(stream)
            return None

    async def parts(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        """The parts of a stream as they come, after an empty one: a generator that has begun is always closed."""
        try:
            yield b""
            while (part := await self.part(stream)) is not None:
                if part:
                    yield part
                await stream.called()
        finally:
            self.leave(stream)

    async def wait(
        self, tenant: str, caller: Caller, types: tuple[str, ...], after: ChangeCursor, seconds: int
    ) -> Waiter:
        """A waiter for records of these types, which counts as a stream until it leaves. Raises TooManyStreams."""
        at = _loop_time()
        waiter = Waiter(caller, at, types, after, at + seconds)
        await self._join(tenant, waiter)
        return waiter

    def leave(self, reader: Reader) -> None:
        """Remove a reader. Removing it again does nothing."""
        channel, reader.channel = reader.channel, None
        if channel is None:
            return
        reader.end()
        channel.readers.discard(reader)
        self._count(-1)
        if reader.counted and self.stored is not None:
            self.stored.remove(channel.tenant, reader.caller.actor)
        if not channel.readers:
            self._drop(channel)
            if channel.pump is not None:
                channel.pump.cancel()

    async def _join(self, tenant: str, reader: Reader) -> tuple[ChangePage, Channel]:
        """Add a reader to a tenant's channel and return the newest page of the change log. Raises TooManyStreams."""
        channel = self._add(tenant, reader)
        try:
            if self.stored is not None:
                await self.stored.add(tenant, reader.caller.actor)
                if reader.channel is None:  # its pump has ended meanwhile
                    self.stored.remove(tenant, reader.caller.actor)
                else:
                    reader.counted = True
            page = await self._backend.changes(tenant, None)
            reader.had_rights = may_see_any(await self._views.of(tenant), reader.caller)
        except BaseException:
            self.leave(reader)
            raise
        if channel.pump is None:
            channel.epoch, channel.place, channel.seq = page.epoch, page.newest, page.seq
            channel.pump = asyncio.create_task(self._pump(channel))
        return page, channel

    def _add(self, tenant: str, reader: Reader) -> Channel:
        channel = self._channels.setdefault(tenant, Channel(tenant))
        if len(channel.readers) >= MAX_STREAMS:
            raise too_many_of_tenant()
        if sum(other.caller.actor == reader.caller.actor for other in channel.readers) >= MAX_STREAMS_OF_CALLER:
            raise too_many_of_caller()
        channel.readers.add(reader)
        reader.channel = channel
        self._count(1)
        return channel

    def _drop(self, channel: Channel) -> None:
        """Give readers that join from now on a new channel."""
        if self._channels.get(channel.tenant) is channel:
            del self._channels[channel.tenant]

    async def _missed(self, tenant: str, stream: Stream) -> bytes:
        """The next of the events that a stream missed; ``reset`` if the store does not know them (any more)."""
        page = await self._backend.changes(tenant, stream.after.place, _BATCH)
        if page.entries is None or page.epoch != stream.after.epoch:
            stream.after, stream.missed = _newest(page), False
            return frame("reset", stream.after, b"{}")
        if not page.entries:
            stream.missed = False
            return stream.take()
        workspace = await self._views.of(tenant)
        stream.after = ChangeCursor(page.epoch, page.entries[-1].place)
        seen = (each for each in page.entries if may_see(workspace, stream.caller, each.entry))
        return b"".join(_framed(page.epoch, each) for each in seen)

    async def _pump(self, channel: Channel) -> None:
        """Deliver until the last stream closes. An error or another epoch ends the streams: their clients reconnect."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await self._deliver(channel, stopping)
        except CrmError:
            pass  # the store or the tenant is gone: clients learn that when they reconnect
        except Exception as error:  # noqa: BLE001  # the boundary: no stream may stay open without its pump
            _log.error("event_streams_failed", tenant=channel.tenant, error=type(error).__name__)
        finally:
            stopping.cancel()
            self._drop(channel)
            for reader in tuple(channel.readers):
                self.leave(reader)  # now: its client may never read what is on its way

    async def _deliver(self, channel: Channel, stopping: asyncio.Task[bool]) -> None:
        tenant = channel.tenant
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
            workspace = await self._views.of(tenant)  # read after the changes, so that rights are not older
            if page.entries is None or page.epoch != channel.epoch:
                return  # places mean nothing any more: clients resume with their last id, and are sent a reset
            channel.place = page.entries[-1].place if page.entries else page.newest
            if channel.place == page.newest:  # else read the rest without waiting
                channel.seq = page.seq
            await self._send(channel, workspace, page.entries)
            await asyncio.wait({stopping}, timeout=_INTERVAL)

    async def _send(self, channel: Channel, workspace: Workspace, entries: tuple[StoredChange, ...]) -> None:
        frames = [(stored, _framed(channel.epoch, stored)) for stored in entries]
        for reader in tuple(channel.readers):
            try:
                caller = reader.caller = await self._callers.current(channel.tenant, reader.caller)
            except Unauthenticated:
                self.leave(reader)
                continue
            at = _loop_time()
            for stored, content in frames:
                if reader.wants(stored.entry) and may_see(workspace, caller, stored.entry):
                    reader.send(stored.place, content, at)
            if at - reader.last_frame_at >= HEARTBEAT - _INTERVAL:
                reader.send(None, _COMMENT, at)
            has_rights = may_see_any(workspace, caller)
            if reader.had_rights and not has_rights:
                reader.end()
            reader.had_rights = has_rights
            if reader.ended:
                self.leave(reader)  # now: its client may never read what is on its way


def _newest(page: ChangePage) -> ChangeCursor:
    return ChangeCursor(page.epoch, page.newest)


def _framed(epoch: str, stored: StoredChange) -> bytes:
    entry = stored.entry
    data = entry.data if entry.data is not None else {"type": entry.type, "id": entry.id, "revision": entry.revision}
    return frame(entry.event, ChangeCursor(epoch, stored.place), msgspec.json.encode(data))


def _loop_time() -> float:
    return asyncio.get_running_loop().time()

"""Event streams: what was committed, told to those who may see it, while they may.

Each tenant with open streams has one pump. It waits for the store, reads new notices once for all streams, and before
every delivery looks each caller up again: whoever signed out, was disabled or lost their rights hears nothing more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import groupby
from typing import Final

from crm_core.access.callers import Callers
from crm_core.access.event_ids import Place
from crm_core.errors import CrmError, RateLimited, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.plugin.query import StoredNotice
from crm_core.plugin.storage import StorageBackend
from crm_core.server_log import ServerLog
from crm_core.workspace import Views, Workspace, keys_of

MAX_STREAMS: Final = 200  # of a tenant
HEARTBEAT: Final = 15.0  # seconds; proxies drop what is silent for longer
_GATHER: Final = 0.2  # seconds between two deliveries: what comes in between goes out together
_BACKLOG: Final = 1000  # frames that a slow reader may be behind
_SHEET: Final = 500  # notices that are asked for at once
_SYNC_EVENTS: Final = frozenset({"sync.applied", "modules.changed"})
_RECORD_EVENT: Final = "record.changed"
_PULSE: Final = b": still here\n\n"

_log = ServerLog("crm.access")


def frame(event: str, place: Place, data: bytes) -> bytes:
    """An event on the wire (WHATWG HTML, section 9.2.5, server-sent events); ``data`` is JSON on one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(place).encode(), event.encode(), data)


def sees(workspace: Workspace, caller: Caller, told: StoredNotice) -> bool:
    """Whether a caller may hear of this."""
    if told.notice.event == _RECORD_EVENT:
        return f"{told.notice.subject}.view" in keys_of(workspace, caller)
    return told.notice.event in _SYNC_EVENTS and _hears_of_sync(caller)


def sees_anything(workspace: Workspace, caller: Caller) -> bool:
    """Whether there is anything that a caller could hear of."""
    return _hears_of_sync(caller) or any(key.endswith(".view") for key in keys_of(workspace, caller))


def _hears_of_sync(caller: Caller) -> bool:
    return caller.kind == "user" or "sync:read" in caller.scopes


class _Stream:
    """One open stream: frames on their way to its reader."""

    def __init__(self, caller: Caller, at: float) -> None:
        self.caller = caller
        self.hopeful = False  # whether there was something to hear of when it was last looked
        self.spoken_at = at
        self._frames: deque[tuple[Place | None, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def give(self, place: Place | None, content: bytes, at: float) -> None:
        """Hand a frame over; ``place`` is None for a comment."""
        self.spoken_at = at
        if len(self._frames) >= _BACKLOG:
            self.end()  # the client comes back with its last id and goes on from there
        elif not self._ended:
            self._frames.append((place, content))
            self._arrived.set()

    def end(self) -> None:
        """Tell nothing more."""
        self._ended = True
        self._frames.clear()
        self._arrived.set()

    async def after(self, place: Place) -> AsyncIterator[bytes]:
        """Frames as they come, of events after ``place``."""
        while not self._ended:
            while self._frames:
                at, content = self._frames.popleft()
                if at is None or at > place:
                    yield content
            self._arrived.clear()
            if not self._ended:
                await self._arrived.wait()


class _Channel:
    """The open streams of a tenant, and how far its pump has told them."""

    def __init__(self) -> None:
        self.streams: set[_Stream] = set()
        self.position = 0
        self.pump: asyncio.Task[None] | None = None


class Feeds:
    """The open streams of all tenants. ``stop``: set at shutdown, which ends them."""

    def __init__(self, backend: StorageBackend, views: Views, callers: Callers, stop: asyncio.Event) -> None:
        self._backend = backend
        self._views = views
        self._callers = callers
        self._stop = stop
        self._channels: dict[str, _Channel] = {}

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return sum(len(channel.streams) for channel in self._channels.values())

    async def listen(self, tenant: str, caller: Caller, after: Place | None) -> AsyncGenerator[bytes, None]:
        """The frames of a new stream: ready, the events missed since ``after``, then new ones.

        Ends when the caller may hear no more, falls too far behind, or we shut down. Raises RateLimited, before the
        first frame, where the tenant has too many.
        """
        channel, stream = self._opened(tenant, caller)
        try:
            workspace, view = await self._views.with_view(tenant)
            stream.hopeful = sees_anything(workspace, caller)
            if channel.pump is None:
                channel.position = view.seq
                channel.pump = asyncio.create_task(self._pump(tenant, channel))
            until = Place(view.seq) if after is None else after
            # The pump may have gone on while this one asked where things stand.
            behind = after is not None or Place(channel.position) > until
            yield b"retry: 2000\n" + frame("ready", until, b"{}")
            if behind:
                async for place, missed in self._missed(tenant, caller, until):
                    until = place
                    yield missed
            async for content in stream.after(until):
                yield content
        finally:
            self._closed(tenant, channel, stream)

    def _opened(self, tenant: str, caller: Caller) -> tuple[_Channel, _Stream]:
        channel = self._channels.setdefault(tenant, _Channel())
        if len(channel.streams) >= MAX_STREAMS:
            told = f"This workspace has {MAX_STREAMS} open event streams, which is all it may; close some."
            raise RateLimited(told, retry_after=10)
        stream = _Stream(caller, _moment())
        channel.streams.add(stream)
        return channel, stream

    def _closed(self, tenant: str, channel: _Channel, stream: _Stream) -> None:
        channel.streams.discard(stream)
        if not channel.streams:
            self._forget(tenant, channel)
            if channel.pump is not None:
                channel.pump.cancel()

    def _forget(self, tenant: str, channel: _Channel) -> None:
        """Streams that open from now on get a channel of their own."""
        if self._channels.get(tenant) is channel:
            del self._channels[tenant]

    async def _missed(self, tenant: str, caller: Caller, after: Place) -> AsyncIterator[tuple[Place, bytes]]:
        """The events since ``after``, and the place that they reach; ``reset`` if they are not known, or no longer."""
        whole = False
        while not whole:
            workspace, view = await self._views.with_view(tenant)
            notices = await self._backend.notices(tenant, after.whole, _SHEET)
            unborn = after.whole < after.seq and after.seq > view.seq
            if notices is None or unborn:
                yield Place(view.seq), frame("reset", Place(view.seq), b"{}")
                return
            seq, whole = _reached(notices, view.seq)
            fresh = [(place, one) for place, one in _placed(notices) if place > after and sees(workspace, caller, one)]
            after = Place(seq)
            yield after, b"".join(_framed(place, one) for place, one in fresh)

    async def _pump(self, tenant: str, channel: _Channel) -> None:
        """Deliver until the last stream is gone. Whatever fails ends the streams: their clients come back."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await self._deliver(tenant, channel, stopping)
        except CrmError:
            pass  # the store is away or the tenant is gone: the clients learn that when they come back
        except Exception as error:  # noqa: BLE001  # the boundary: no stream may hang on without its pump
            _log.error("event_streams_failed", tenant=tenant, error=type(error).__name__)
        finally:
            stopping.cancel()
            self._forget(tenant, channel)
            for stream in channel.streams:
                stream.end()

    async def _deliver(self, tenant: str, channel: _Channel, stopping: asyncio.Task[bool]) -> None:
        while True:
            waiting = asyncio.create_task(self._backend.wait(tenant, channel.position))
            try:
                await asyncio.wait({waiting, stopping}, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if stopping.done():
                return
            if waiting.done():
                waiting.result()  # a store that is away ends the streams
            workspace, view = await self._views.with_view(tenant)
            notices = await self._backend.notices(tenant, channel.position, _SHEET)
            channel.position = view.seq if notices is None else _reached(notices, view.seq)[0]
            await self._tell(tenant, channel.streams, workspace, notices, view.seq)
            await asyncio.wait({stopping}, timeout=_GATHER)

    async def _tell(
        self,
        tenant: str,
        streams: set[_Stream],
        workspace: Workspace,
        notices: tuple[StoredNotice, ...] | None,
        seq: int,
    ) -> None:
        made = [(place, one, _framed(place, one)) for place, one in _placed(notices or ())]
        for stream in tuple(streams):
            try:
                caller = stream.caller = await self._callers.current(tenant, stream.caller)
            except Unauthenticated:
                stream.end()
                continue
            at = _moment()
            if notices is None:
                stream.give(Place(seq), frame("reset", Place(seq), b"{}"), at)
            for place, one, content in made:
                if sees(workspace, caller, one):
                    stream.give(place, content, at)
            if at - stream.spoken_at >= HEARTBEAT - _GATHER:
                stream.give(None, _PULSE, at)
            hopeful = sees_anything(workspace, caller)
            if stream.hopeful and not hopeful:
                stream.end()
            stream.hopeful = hopeful


def _placed(notices: tuple[StoredNotice, ...]) -> Iterator[tuple[Place, StoredNotice]]:
    """Each notice with its place; a backend returns all notices of a commit together, in their order."""
    for seq, group in groupby(notices, key=lambda one: one.seq):
        for number, one in enumerate(group, 1):
            yield Place(seq, number), one


def _framed(place: Place, told: StoredNotice) -> bytes:
    return frame(told.notice.event, place, told.notice.data)


def _reached(notices: tuple[StoredNotice, ...], seq: int) -> tuple[int, bool]:
    """Up to which seq everything is known, and whether that is all there was; ``seq`` is of before they were read."""
    if len(notices) >= _SHEET:
        return notices[-1].seq, False
    return max((seq, *(one.seq for one in notices))), True


def _moment() -> float:
    return asyncio.get_running_loop().time()

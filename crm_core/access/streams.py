"""The readers that a tenant's pump serves: event streams, and requests that wait for a change."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from crm_core.errors import TooManyStreams
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor
from crm_core.model.change_log import RECORD_CHANGED, ChangeEntry

MAX_STREAMS: Final = 200  # of a tenant
MAX_STREAMS_OF_CALLER: Final = 20
BACKLOG: Final = 1000  # frames waiting for a slow reader


def too_many_of_tenant() -> TooManyStreams:
    """The error for a tenant that has as many streams as it may."""
    return _too_many(f"This workspace has {MAX_STREAMS} event streams and waiting requests, the most it may have.")


def too_many_of_caller() -> TooManyStreams:
    """The error for a caller who has as many streams as one may."""
    return _too_many(f"You have {MAX_STREAMS_OF_CALLER} event streams and waiting requests, the most of one caller.")


def _too_many(message: str) -> TooManyStreams:
    return TooManyStreams(f"{message} Close some.", retry_after=10)


class Reader(ABC):
    """A reader of a tenant's change log, woken by its pump. Not an Event with a timeout: those cost 2 KB each."""

    __slots__ = ("caller", "channel", "ended", "had_rights", "last_frame_at")

    def __init__(self, caller: Caller, at: float) -> None:
        self.caller = caller
        self.channel: Channel | None = None  # while it is open
        self.had_rights = False  # at the last delivery
        self.last_frame_at = at
        self.ended = False

    @abstractmethod
    def send(self, place: int | None, content: bytes, at: float) -> None:
        """Take a frame; ``place`` is None for a comment."""

    def end(self) -> None:
        """Send nothing more."""
        self.ended = True
        self._wake()

    def wants(self, entry: ChangeEntry) -> bool:  # noqa: ARG002 -- a stream wants all that its caller may see
        """Whether an entry that the caller may see is for this reader."""
        return True

    @abstractmethod
    def _wake(self) -> None:
        """Let it continue."""


class Channel:
    """The open readers of a tenant, and how far its pump has read: the change log up to a place, units up to a seq."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.readers: set[Reader] = set()
        self.epoch, self.place, self.seq = "", 0, 0
        self.pump: asyncio.Task[None] | None = None


class Stream(Reader):
    """One open stream and the frames that wait for its reader."""

    __slots__ = ("_frames", "_sleeping")

    def __init__(self, caller: Caller, at: float) -> None:
        super().__init__(caller, at)
        self._frames: deque[tuple[int | None, bytes]] = deque()
        self._sleeping: asyncio.Future[None] | None = None

    def send(self, place: int | None, content: bytes, at: float) -> None:
        """Queue a frame; ``place`` is None for a comment."""
        self.last_frame_at = at
        if len(self._frames) >= BACKLOG:
            self.end()  # the client reconnects and resumes after its last id
        elif not self.ended:
            self._frames.append((place, content))
            self._wake()

    def end(self) -> None:
        """Drop waiting frames and send nothing more."""
        self._frames.clear()
        super().end()

    async def after(self, place: int) -> AsyncIterator[bytes]:
        """The frames of events after ``place``, as they arrive."""
        while not self.ended:
            while self._frames:
                at, content = self._frames.popleft()
                if at is None or at > place:
                    yield content
            if not self.ended:
                self._sleeping = asyncio.get_running_loop().create_future()
                await self._sleeping

    def _wake(self) -> None:
        if self._sleeping is not None and not self._sleeping.done():
            self._sleeping.set_result(None)


class Waiter(Reader):
    """A reader of the change feed that waits for an entry of a record; of ``types``, or of any if there are none.

    Nothing runs while it waits: ``then`` is called once an entry after the cursor ``after`` has arrived, it is ``end``
    by the loop's clock, or the waiter has ended.
    """

    __slots__ = ("_reached", "_then", "_timer", "_types", "after", "end_at")

    def __init__(self, caller: Caller, at: float, types: tuple[str, ...], after: ChangeCursor, end_at: float) -> None:
        super().__init__(caller, at)
        self.after, self.end_at = after, end_at
        self._types = types
        self._reached = 0
        self._then: Callable[[], object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether it waits no longer."""
        return self.ended or asyncio.get_running_loop().time() >= self.end_at

    def wants(self, entry: ChangeEntry) -> bool:
        """Whether an entry is of a record of these types."""
        return entry.event == RECORD_CHANGED and (not self._types or entry.type in self._types)

    def send(self, place: int | None, content: bytes, at: float) -> None:  # noqa: ARG002 -- a waiter reads it itself
        """Wake the reader if there is an entry."""
        self.last_frame_at = at
        if place is not None:
            self._reached = place
            self._wake()

    def call(self, then: Callable[[], object]) -> None:
        """Call ``then`` once there is something to do, never before this returns."""
        self._then = then
        loop = asyncio.get_running_loop()
        if self._reached > self.after.place or self.over:
            loop.call_soon(self._wake)
        elif self._timer is None:
            self._timer = loop.call_at(self.end_at, self._wake)

    def end(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
        super().end()

    def _wake(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()

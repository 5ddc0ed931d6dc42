"""The readers that a tenant's pump serves: event streams, and requests that wait for a change."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from crm_core.errors import TooManyStreams
from crm_core.model.caller import Caller
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


class Reader:
    """A reader of a tenant's change log, woken by its pump. Not an Event with a timeout: those cost 2 KB each."""

    __slots__ = ("_sleeping", "caller", "ended", "had_rights", "last_frame_at")

    def __init__(self, caller: Caller, at: float) -> None:
        self.caller = caller
        self.had_rights = False  # at the last delivery
        self.last_frame_at = at
        self.ended = False
        self._sleeping: asyncio.Future[None] | None = None

    def send(self, place: int | None, content: bytes, at: float) -> None:
        """Take a frame; ``place`` is None for a comment."""
        raise NotImplementedError

    def end(self) -> None:
        """Send nothing more."""
        self.ended = True
        self._wake()

    def wants(self, entry: ChangeEntry) -> bool:  # noqa: ARG002 -- a stream wants all that its caller may see
        """Whether an entry that the caller may see is for this reader."""
        return True

    def _wake(self) -> None:
        if self._sleeping is not None and not self._sleeping.done():
            self._sleeping.set_result(None)

    async def _sleep(self, end: float | None = None) -> None:
        """Return when woken, or when it is ``end`` by the loop's clock."""
        loop = asyncio.get_running_loop()
        self._sleeping = loop.create_future()
        timer = None if end is None else loop.call_at(end, self._wake)
        try:
            await self._sleeping
        finally:
            self._sleeping = None
            if timer is not None:
                timer.cancel()


class Stream(Reader):
    """One open stream and the frames that wait for its reader."""

    __slots__ = ("_frames",)

    def __init__(self, caller: Caller, at: float) -> None:
        super().__init__(caller, at)
        self._frames: deque[tuple[int | None, bytes]] = deque()

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
                await self._sleep()


class Waiter(Reader):
    """A reader of the change feed that waits for an entry of a record; of ``types``, or of any if there are none."""

    __slots__ = ("_reached", "_types")

    def __init__(self, caller: Caller, at: float, types: tuple[str, ...]) -> None:
        super().__init__(caller, at)
        self._types = types
        self._reached = 0

    def wants(self, entry: ChangeEntry) -> bool:
        """Whether an entry is of a record of these types."""
        return entry.event == RECORD_CHANGED and (not self._types or entry.type in self._types)

    def send(self, place: int | None, content: bytes, at: float) -> None:  # noqa: ARG002 -- a waiter reads it itself
        """Wake the reader if there is an entry."""
        self.last_frame_at = at
        if place is not None:
            self._reached = place
            self._wake()

    async def arrived(self, place: int, end: float) -> None:
        """Return when an entry after ``place`` has arrived, it is ``end`` by the loop's clock, or the waiter ended."""
        while self._reached <= place and not self.ended and asyncio.get_running_loop().time() < end:
            await self._sleep(end)

"""The readers that a tenant's pump serves: event streams, and requests that wait for a change."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
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


class Stream:
    """One open stream and the frames that wait for its reader."""

    def __init__(self, caller: Caller, at: float) -> None:
        self.caller = caller
        self.had_rights = False  # at the last delivery
        self.last_frame_at = at
        self._frames: deque[tuple[int | None, bytes]] = deque()
        self._arrived = asyncio.Event()
        self.ended = False

    def send(self, place: int | None, content: bytes, at: float) -> None:
        """Queue a frame; ``place`` is None for a comment."""
        self.last_frame_at = at
        if len(self._frames) >= BACKLOG:
            self.end()  # the client reconnects and resumes after its last id
        elif not self.ended:
            self._frames.append((place, content))
            self._arrived.set()

    def end(self) -> None:
        """Drop waiting frames and send nothing more."""
        self.ended = True
        self._frames.clear()
        self._arrived.set()

    def wants(self, entry: ChangeEntry) -> bool:  # noqa: ARG002 -- a stream wants all that its caller may see
        """Whether an entry that the caller may see is for this reader."""
        return True

    async def after(self, place: int) -> AsyncIterator[bytes]:
        """The frames of events after ``place``, as they arrive."""
        while not self.ended:
            while self._frames:
                at, content = self._frames.popleft()
                if at is None or at > place:
                    yield content
            self._arrived.clear()
            if not self.ended:
                await self._arrived.wait()


class Waiter(Stream):
    """A reader of the change feed that waits for an entry of a record; of ``types``, or of any if there are none."""

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
            self._arrived.set()

    async def arrived(self, place: int, end: float) -> None:
        """Return when an entry after ``place`` has arrived, it is ``end`` by the loop's clock, or the waiter ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                while self._reached <= place and not self.ended:
                    self._arrived.clear()
                    await self._arrived.wait()

"""The readers that a tenant's pump serves: event streams, and requests that wait for a change."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from crm_core.errors import TooManyStreams
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor
from crm_core.model.change_log import RECORD_CHANGED, ChangeEntry

MAX_STREAMS: Final = 200  # of a tenant
MAX_STREAMS_OF_CALLER: Final = 20
BACKLOG: Final = 1000  # frames waiting for a slow reader
_TOGETHER: Final = 100  # frames sent at a time


def too_many_of_tenant() -> TooManyStreams:
    """The error for a tenant at its limit."""
    return _too_many(f"This workspace has {MAX_STREAMS} event streams and waiting requests, the most it may have.")


def too_many_of_caller() -> TooManyStreams:
    """The error for a caller at the limit."""
    return _too_many(f"You have {MAX_STREAMS_OF_CALLER} event streams and waiting requests, the most for one caller.")


def _too_many(message: str) -> TooManyStreams:
    return TooManyStreams(f"{message} Close some.", retry_after=10)


class Reader(ABC):
    """A reader of a tenant's change log. Nothing runs while it waits: its pump calls it when there is something to do.

    Not an Event with a timeout, nor a task: those cost 2 KB and more each.
    """

    __slots__ = ("_then", "caller", "channel", "counted", "ended", "had_rights", "last_frame_at")

    def __init__(self, caller: Caller, at: float) -> None:
        self.caller = caller
        self.channel: Channel | None = None  # while it is open
        self.counted = False  # in the store, if several processes share it
        self.had_rights = False  # at the last delivery
        self.last_frame_at = at
        self.ended = False
        self._then: Callable[[], object] | None = None

    @property
    @abstractmethod
    def is_ready(self) -> bool:
        """Whether there is something to do."""

    @abstractmethod
    def send(self, place: int | None, content: bytes, at: float) -> None:
        """Receive a frame; ``place`` is None for a comment."""

    def wants(self, entry: ChangeEntry) -> bool:  # noqa: ARG002 -- a stream wants all that its caller may see
        """Whether an entry that the caller may see is for this reader."""
        return True

    def call(self, then: Callable[[], object]) -> None:
        """Call ``then`` when there is something to do, never before this returns."""
        self._then = then
        if self.is_ready:
            asyncio.get_running_loop().call_soon(self._wake)

    async def called(self) -> None:
        """Wait until there is something to do."""
        found = asyncio.get_running_loop().create_future()
        self.call(lambda: None if found.done() else found.set_result(None))
        await found

    def end(self) -> None:
        """Send nothing more."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()


class Channel:
    """The open readers of a tenant, and how far its pump has read: the change log up to a place, units up to a seq."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.readers: set[Reader] = set()
        self.epoch, self.place, self.seq = "", 0, 0
        self.pump: asyncio.Task[None] | None = None


class Stream(Reader):
    """One open stream and the frames that wait for its reader.

    ``after``: the cursor that it has reached; ``missed``: whether entries after it are to be read from the store first.
    """

    __slots__ = ("_frames", "after", "missed", "opening")

    def __init__(self, caller: Caller, at: float) -> None:
        super().__init__(caller, at)
        self.after = ChangeCursor("", 0)
        self.missed = False
        self.opening = b""  # the first frame
        self._frames: list[tuple[int | None, bytes]] = []  # a deque is ten times as large

    @property
    def is_ready(self) -> bool:
        """Whether there is a part to send, or none will follow."""
        return bool(self._frames) or self.missed or self.ended

    def send(self, place: int | None, content: bytes, at: float) -> None:
        """Queue a frame; ``place`` is None for a comment."""
        self.last_frame_at = at
        if len(self._frames) >= BACKLOG:
            self.end()  # the client reconnects and resumes after its last id
        elif not self.ended:
            self._frames.append((place, content))
            self._wake()

    def take(self) -> bytes:
        """The next frames of events after ``after``."""
        taken = self._frames[:_TOGETHER]
        del self._frames[:_TOGETHER]
        return b"".join(content for place, content in taken if place is None or place > self.after.place)

    def end(self) -> None:
        """Drop waiting frames and send nothing more."""
        self._frames.clear()
        super().end()


class Waiter(Reader):
    """A reader of the change feed that waits for an entry of a record; of ``types``, or of any if there are none.

    It is called once an entry after the cursor ``after`` has arrived, it is ``end`` by the loop's clock, or it has
    ended.
    """

    __slots__ = ("_reached", "_timer", "_types", "after", "end_at")

    def __init__(self, caller: Caller, at: float, types: tuple[str, ...], after: ChangeCursor, end_at: float) -> None:
        super().__init__(caller, at)
        self.after, self.end_at = after, end_at
        self._types = types
        self._reached = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether the wait has ended."""
        return self.ended or asyncio.get_running_loop().time() >= self.end_at

    @property
    def is_ready(self) -> bool:
        """Whether there is an entry to read, or it waits no longer."""
        return self._reached > self.after.place or self.over

    def wants(self, entry: ChangeEntry) -> bool:
        """Whether an entry is of a record of these types."""
        return entry.event == RECORD_CHANGED and (not self._types or entry.type in self._types)

    def send(self, place: int | None, content: bytes, at: float) -> None:  # noqa: ARG002 -- a waiter reads it itself
        """Wake the reader if an entry arrived."""
        self.last_frame_at = at
        if place is not None:
            self._reached = place
            self._wake()

    def call(self, then: Callable[[], object]) -> None:
        """Call ``then`` when there is something to do, at the latest when its time is over."""
        super().call(then)
        if self._timer is None and not self.is_ready:
            self._timer = asyncio.get_running_loop().call_at(self.end_at, self._wake)

    def end(self) -> None:
        """End the wait."""
        if self._timer is not None:
            self._timer.cancel()
        super().end()

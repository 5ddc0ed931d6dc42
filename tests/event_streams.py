"""Clients of event streams, and entries of the change log for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec

from crm_core.access.feeds import Feeds
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor
from crm_core.model.change_log import RECORD_CHANGED, ChangeEntry

SOON = 10.0  # seconds; every event arrives within one, on a busy machine within a few


class Reader:
    """A client that parses what a stream sends."""

    def __init__(self, frames: Any) -> None:
        self._frames = frames
        self._parsed: list[tuple[ChangeCursor, str, Any]] = []

    async def next(self) -> tuple[ChangeCursor, str, Any]:
        """The next event as id, name, data; heartbeats are passed over."""
        async with asyncio.timeout(SOON):
            while not self._parsed:
                self._take((await anext(self._frames)).decode())
        return self._parsed.pop(0)

    async def ended(self, within: float = SOON) -> bool:
        """Whether the stream is over; events that still come are passed over."""
        try:
            async with asyncio.timeout(within):
                while True:
                    await anext(self._frames)
        except StopAsyncIteration:
            return True
        except TimeoutError:
            return False

    def _take(self, text: str) -> None:
        for block in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                place = ChangeCursor.parse(fields["id"])
                assert place is not None
                self._parsed.append((place, fields["event"], msgspec.json.decode(fields["data"])))


@asynccontextmanager
async def parts(
    feeds: Feeds, tenant: str, caller: Caller, after: ChangeCursor | None = None
) -> AsyncIterator[AsyncGenerator[bytes, None]]:
    """The parts of a new stream."""
    async with aclosing(feeds.parts(await feeds.open(tenant, caller, after))) as found:
        assert await anext(found) == b""
        yield found


def event(name: str, **members: Any) -> ChangeEntry:
    """An entry of the change log."""
    return ChangeEntry(event=name, at="2026-11-24T02:00:00.000Z", **members)


def record(record_type: str, number: int) -> ChangeEntry:
    """An entry of a record whose revision is a number."""
    return event(RECORD_CHANGED, type=record_type, id="x", revision=number, change="updated")


def after(cursor: ChangeCursor, number: int) -> ChangeCursor:
    """The cursor of the entry a number of places after another."""
    return ChangeCursor(cursor.epoch, cursor.place + number)


def seen(record_type: str, number: int) -> dict[str, Any]:
    """The data of that entry's event."""
    return {"type": record_type, "id": "x", "revision": number}

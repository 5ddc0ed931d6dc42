"""Readers of a tenant's change log, without the pump that serves them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core.access import streams as streams_module
from crm_core.access.streams import Stream, Waiter
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor
from crm_core.model.change_log import RECORD_CHANGED, SYNC_APPLIED, ChangeEntry

CALLER = Caller(kind="token", id="t", name="", revision=1)
HOUR = 3600.0


def waiter(*types: str, after: int = 0, seconds: float = HOUR) -> Waiter:
    at = asyncio.get_running_loop().time()
    return Waiter(CALLER, at, types, ChangeCursor("epoch", after), at + seconds)


def entry(kind: str, event: str = RECORD_CHANGED) -> ChangeEntry:
    return ChangeEntry(event=event, type=kind, at="")


async def test_a_waiter_wants_records_of_its_types() -> None:
    """Or all of them if it names none, and no other event."""
    entries = entry("deals"), entry("tasks"), entry("deals", SYNC_APPLIED)
    assert [waiter("deals").wants(each) for each in entries] == [True, False, False]
    assert [waiter().wants(each) for each in entries] == [True, True, False]


async def test_a_waiter_is_called_when_an_entry_arrives() -> None:
    """A comment is none; it is ready once an entry after its cursor has arrived."""
    one, called = waiter(after=5), list[int]()
    one.call(lambda: called.append(1))
    one.send(None, b": still here\n\n", 7.0)
    assert (called, one.last_frame_at, one.is_ready) == ([], 7.0, False)
    one.send(5, b"", 8.0)
    assert (called, one.last_frame_at, one.is_ready) == ([1], 8.0, False)
    one.call(lambda: called.append(2))
    one.send(6, b"", 9.0)
    assert (called, one.is_ready) == ([1, 2], True)


async def test_a_ready_waiter_is_called_soon() -> None:
    """Never before the call returns, and without a timer."""
    one, called = waiter(after=0), list[int]()
    assert (one.is_ready, one.over) == (False, False)
    one.send(1, b"", 7.0)
    one.call(lambda: called.append(1))
    assert (called, one._timer) == ([], None)
    await asyncio.sleep(0)
    assert called == [1]


async def test_a_waiter_is_called_when_its_time_is_over() -> None:
    """By one timer, however often it waits."""
    one = waiter(seconds=0.01)
    await one.called()
    assert (one.over, one.is_ready) == (True, True)
    patient = waiter()
    patient.call(lambda: None)
    timer: Any = patient._timer
    patient.call(lambda: None)
    assert patient._timer is timer
    assert timer.when() == patient.end_at


async def test_the_end_of_a_waiter_ends_its_timer() -> None:
    """Whether it has one or not."""
    one, called = waiter(), list[int]()
    at = one.last_frame_at
    assert one.end_at == at + HOUR
    one.call(lambda: called.append(1))
    one.end()
    timer: Any = one._timer
    assert (called, one.over, timer.cancelled()) == ([1], True, True)
    other = waiter()
    other.end()
    assert other.over


async def test_a_stream_ends_past_its_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many frames as it has may wait; with the next one they are dropped, as the client reads them again."""
    monkeypatch.setattr(streams_module, "BACKLOG", 2)
    stream = Stream(CALLER, 7.0)
    for place in (1, 2):
        stream.send(place, b"frame", 8.0)
    assert (stream.ended, stream.is_ready) == (False, True)
    stream.send(3, b"frame", 9.0)
    assert (stream.ended, stream.take()) == (True, b"")

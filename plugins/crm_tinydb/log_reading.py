"""Reads of the sync log in threads: their failures, and the damage that they find."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from crm_tinydb.framing import Damaged
from crm_tinydb.refusals import files_unreadable
from crm_tinydb.segments import Segment
from crm_tinydb.tenant import Tenant

T = TypeVar("T")


async def reading(work: asyncio.Future[T]) -> T:
    """The result of work in a thread. Raises StorageUnavailable."""
    try:
        return await work
    except OSError as error:
        raise files_unreadable(f"The log cannot be read: {error.strerror}.", retry_after=5) from None


class DamageReporter:
    """Reports damage that a thread found while reading, on the loop."""

    def __init__(self, store: Tenant) -> None:
        self._store, self._loop = store, asyncio.get_running_loop()

    def __call__(self, segment: Segment, error: Damaged) -> None:
        """Report the damage of a segment."""
        self._loop.call_soon_threadsafe(self._report, segment, error)

    def _report(self, segment: Segment, error: Damaged) -> None:
        if segment in self._store.log.segments:  # otherwise a fold has replaced it in the meantime
            self._store.report_damage(f"{segment.name} {error.reason}")

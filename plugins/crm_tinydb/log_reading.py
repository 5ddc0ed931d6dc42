"""Reads of the sync log in threads: their failures, and the damage that they find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from crm_core.model.log import LogEntry
from crm_core.plugin.query import EntryQuery, Tally
from crm_tinydb.log import LogView, OnDamage
from crm_tinydb.refusals import files_unreadable, just_closed
from crm_tinydb.segments import SegmentDamaged
from crm_tinydb.tenant import Tenant

T = TypeVar("T")


async def reading(work: asyncio.Future[T]) -> T:
    """The result of work in a thread. Raises StorageUnavailable."""
    try:
        return await work
    except OSError as error:
        raise files_unreadable(f"The log cannot be read: {error.strerror}.", retry_after=5) from None


async def entries_of(store: Tenant, query: EntryQuery) -> tuple[LogEntry, ...]:
    """As ``StorageBackend.entries``."""
    while True:
        found, older = store.log.newest(query)
        if not older:
            return tuple(found)
        page = await _read(store, lambda view, on_damage: view.page(query, found, older, on_damage))  # noqa: B023
        if page is not None:
            return page


async def tally_of(store: Tenant, since: str) -> Tally:
    """As ``StorageBackend.tally``."""
    while (tally := await _read(store, lambda view, on_damage: view.tally(since, on_damage))) is None:
        pass
    return tally


async def _read(store: Tenant, work: Callable[[LogView, OnDamage], T]) -> T | None:
    """Read the log in a thread; None if a fold has replaced a segment meanwhile. Damage is reported.

    Raises StorageUnavailable.
    """
    view, damage = store.log_view(), list[SegmentDamaged]()
    with store.in_use():
        found = await reading(store.run(lambda: work(view, damage.append)))
    if damage and store.closed:  # the folder may have another name now
        raise just_closed()
    if any(error.segment not in store.log.segments for error in damage):
        return None
    for error in damage:
        store.report_damage(error)
    return found

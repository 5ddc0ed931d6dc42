"""Reads of the change log of an open tenant: from memory, or from segments in a thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from crm_core.plugin.query import ChangePage, StoredChange
from crm_tinydb.change import LoggedChange
from crm_tinydb.change_log import shown
from crm_tinydb.change_segments import SegmentReader
from crm_tinydb.refusals import files_unreadable, just_closed
from crm_tinydb.segments import SegmentDamaged
from crm_tinydb.tenant import Tenant

T = TypeVar("T")


async def changes_after(tenant: Tenant, after: int | None, limit: int) -> ChangePage:
    """As ``StorageBackend.changes``."""
    log, state = tenant.changes, tenant.state
    while True:
        page = ChangePage(state.epoch, log.floor, state.place, state.seq, state.revision, after or 0)
        if after is None or after == page.newest:
            return page
        if not page.oldest <= after < page.newest:
            return replace(page, texts=None)
        if after >= log.folded:
            found: list[bytes] | None = log.after(after, limit)
        else:
            found = await _read(tenant, partial(_reader(tenant).after, after, limit))
        if found is not None:
            return shown(replace(page, texts=tuple(found)), state.erased)


async def history_of(tenant: Tenant, type_: str, id_: str, before: int | None, limit: int) -> tuple[StoredChange, ...]:
    """As ``StorageBackend.history``."""
    start = tenant.state.newest_entry(id_)
    if before is not None and start:
        start = before
    if not tenant.changes.floor < start <= tenant.state.place:
        return ()
    found = await _back(tenant, start, limit + (before is not None))
    if not tenant.state.newest_entry(id_):  # erased meanwhile
        return ()
    if before is not None:
        if not found or found[0].entry.id != id_:
            return ()
        del found[0]
    return tuple(StoredChange(logged.place, logged.entry) for logged in found if logged.entry.type == type_)


async def _back(tenant: Tenant, place: int, limit: int) -> list[LoggedChange]:
    """A record's entries from a place on, followed back, newest first."""
    log = tenant.changes
    while True:
        found = log.back(place, limit)
        at = found[-1].previous if found else place
        if len(found) == limit or not log.floor < at <= log.folded:
            return found
        older = await _read(tenant, partial(_reader(tenant).back, at, limit - len(found)))
        if older is not None:
            return found + older


def _reader(tenant: Tenant) -> SegmentReader:
    return SegmentReader(tenant.disk, tenant.folder, tenant.changes.segments, tenant.changes.blocks)


async def _read(tenant: Tenant, work: Callable[[], list[T]]) -> list[T] | None:
    """Read segments in a thread; None if a fold has replaced them meanwhile. Raises StorageUnavailable.

    Replaced segments may contain records that were erased since, and the fold made the store forget that they were.
    """
    segments = tenant.changes.segments
    try:
        with tenant.in_use():
            found = await tenant.run(work)
    except (SegmentDamaged, OSError) as error:
        if tenant.changes.segments is not segments:
            return None
        if tenant.closed:  # the folder may have another name now
            raise just_closed() from None
        if isinstance(error, OSError):
            raise files_unreadable(f"The change log cannot be read: {error.strerror}.", retry_after=5) from None
        tenant.report_damage(error)
        why = f"A file of the change log is damaged: {error.segment.name} {error.reason}."
        raise files_unreadable(why, retry_after=5) from None
    return found if tenant.changes.segments is segments else None

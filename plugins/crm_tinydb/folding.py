"""The fold: write the state into the TinyDB-readable file of the next generation while writes continue."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from crm_core.model.log import LogEntry
from crm_tinydb.change_segments import fold_changes, redact_erased, retained_changes
from crm_tinydb.disk import Disk, gone
from crm_tinydb.erasures import unmark
from crm_tinydb.folded import FoldedSummary, Snapshot, snapshot_in_turns, store_name, summarized, write_folded
from crm_tinydb.journal import Journal
from crm_tinydb.log import retention_start
from crm_tinydb.segments import SegmentDamaged, fold_entries, retained
from crm_tinydb.tenant import FOLD_AT, Tenant, fold_at
from crm_tinydb.tidying import Earlier, drop_segments, tidy

PAUSE = 0.0005  # seconds between slices, so that the loop does not wait for the interpreter


class KeepDays(NamedTuple):
    """For how many days entries of the logs are retained; 0: for good."""

    log: int
    changes: int


class Tails(NamedTuple):
    """The entries of both logs that a fold moves to segments, and the records that were erased.

    ``sole``: whether no earlier generation may stay.
    """

    entries: tuple[LogEntry, ...]
    changes: tuple[bytes, ...]
    erased: dict[str, int]
    sole: bool


def pause() -> None:
    """Let the loop run between slices of a fold."""
    time.sleep(PAUSE)


async def fold(tenant: Tenant, keep: KeepDays) -> None:
    """Fold now, if there is anything to fold. After an erase, no earlier generation stays.

    Raises:
        OSError: The disk failed; nothing has changed.
        SegmentDamaged: A segment is damaged.
    """
    folding = tenant.spawn(_fold(tenant, keep))
    try:
        await asyncio.shield(folding)  # a thread cannot be cancelled: its new journal must become the tenant's
    except asyncio.CancelledError:
        folding.add_done_callback(_retrieved)
        raise


def _retrieved(task: asyncio.Task[None]) -> None:
    """Look at the failure of a task that no one waits for, or asyncio reports it as forgotten."""
    if not task.cancelled():
        task.exception()


async def _fold(tenant: Tenant, keep: KeepDays) -> None:
    async with tenant.maintenance:
        if tenant.closed or tenant.reasons or tenant.group_commit.journal is None:
            return
        segments = (*tenant.log.segments, *tenant.changes.segments)
        before = Earlier(tenant.generation, frozenset([segment.name for segment in segments]))
        frozen = await _freeze(tenant)
        summary = tenant.unclean if frozen is None else await _advance(tenant, *frozen, keep)
        disk, folder = tenant.disk, tenant.folder
        if summary is not None:
            tidied = await tenant.run(lambda: tidy(disk, folder, summary, before))
            tenant.unclean = summary if summary.sole and not tidied else None
        if tenant.unclean is None and not tenant.state.erased and not tenant.group_commit.queued:
            await tenant.run(lambda: unmark(disk, folder))


async def _freeze(tenant: Tenant) -> tuple[Snapshot, Tails] | None:
    """Begin the next journal and copy the state as of then; None if there is nothing to fold, or the disk fails."""
    async with tenant.group_commit.paused():
        if tenant.store_state().mode != "ok" or not await _rotate(tenant):
            return None
        assert tenant.group_commit.journal is not None
        log, generation = tenant.log, tenant.group_commit.journal.generation
        state, segments = tenant.state, (log.segments, tenant.changes.segments)
        frozen = await snapshot_in_turns(state, summarized(state, generation, log.anchor, *segments))
        sole = bool(state.erased) or tenant.unclean is not None
        return frozen, Tails(tuple(log.tail), tuple(tenant.changes.tail), dict(state.erased), sole)


async def _advance(tenant: Tenant, frozen: Snapshot, tails: Tails, keep: KeepDays) -> FoldedSummary:
    """Write the next generation, and drop from memory the entries that are in its segments."""
    disk, folder = tenant.disk, tenant.folder
    summary, length = await tenant.run(lambda: _write(disk, folder, frozen, tails, keep))
    tenant.log.drop_folded(summary.segments, summary.anchor)
    tenant.changes.drop_folded(summary.change_segments)
    for erased in tails.erased:
        del tenant.state.erased[erased]
    tenant.fold_at, tenant.generation = fold_at(length), summary.generation
    return summary


async def _rotate(tenant: Tenant) -> bool:
    """Begin the next journal, unless the current one is still empty; False if there is nothing to fold."""
    old = tenant.group_commit.journal
    if old is None:
        return False
    if old.base == tenant.state.seq:
        return old.generation != tenant.generation
    base = tenant.state.seq
    try:
        fresh = await tenant.run(lambda: Journal.create(tenant.disk, tenant.folder, old.generation + 1, base))
    except OSError as error:
        # The new file may exist or not: appending to the old one is safe only once that is known.
        tenant.group_commit.fail(error)
        raise
    old.close()
    tenant.group_commit.journal = fresh
    return True


def _write(disk: Disk, folder: Path, frozen: Snapshot, tails: Tails, keep: KeepDays) -> tuple[FoldedSummary, int]:
    """Write the files of a generation. After a failure its segments are removed: each attempt has others."""
    before = frozenset(disk.names(folder))
    try:
        return _write_files(disk, folder, frozen, tails, keep)
    except (OSError, SegmentDamaged):
        if gone(disk, folder / store_name(frozen.summary.generation)):  # or it lists them
            drop_segments(disk, folder, except_for=before)
        raise


def _write_files(disk: Disk, folder: Path, frozen: Snapshot, tails: Tails, keep: KeepDays) -> tuple[FoldedSummary, int]:
    summary = frozen.summary
    segments, anchor = fold_entries(disk, folder, summary.segments, tails.entries), summary.anchor
    if oldest := retention_start(summary.now, keep.log):
        segments, anchor = retained(segments, anchor, oldest)
    changes = fold_changes(disk, folder, summary.change_segments, tails.changes, summary.generation)
    if tails.erased:
        changes = redact_erased(disk, folder, changes, tails.erased, summary.generation)
    if oldest := retention_start(summary.now, keep.changes):
        changes = retained_changes(changes, oldest)
    summary = msgspec.structs.replace(
        summary, anchor=anchor, segments=segments, change_segments=changes, sole=tails.sole
    )
    frozen = msgspec.structs.replace(frozen, summary=summary)
    return summary, write_folded(disk, folder / store_name(summary.generation), frozen, pause=pause)


def fold_if_due(tenant: Tenant, keep: KeepDays) -> None:
    """Fold in the background after a commit if the journal is long."""
    journal = tenant.group_commit.journal
    if journal is None or tenant.folding or journal.length < tenant.fold_at:
        return
    tenant.folding = True
    tenant.spawn(_fold_in_background(tenant, keep))


async def _fold_in_background(tenant: Tenant, keep: KeepDays) -> None:
    """Fold a tenant that is marked as folding; a fold that fails is tried again or reported."""
    try:
        await _fold(tenant, keep)
    except OSError:  # the journal stays in use; try again when it has grown as much again
        tenant.fold_at += FOLD_AT
    except SegmentDamaged as error:
        tenant.report_damage(error)
    finally:
        tenant.folding = False

"""The fold: write the state into the TinyDB-readable file of the next generation while writes continue."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from crm_core.model.log import LogEntry
from crm_tinydb.disk import Disk, drop
from crm_tinydb.folded import Snapshot, Summary, snapshot, store_name, write_folded
from crm_tinydb.framing import Damaged
from crm_tinydb.journal import Journal
from crm_tinydb.log import retention_start
from crm_tinydb.opening import journals, stores
from crm_tinydb.segments import PREVIOUS, fold_entries, retained
from crm_tinydb.tenant import FOLD_AT, Tenant, fold_at

PAUSE = 0.001  # seconds between slices, so that the loop does not wait for the interpreter


def pause() -> None:
    """Let the loop run between slices of a fold."""
    time.sleep(PAUSE)


async def fold(tenant: Tenant, keep_days: int) -> None:
    """Fold now, if there is anything to fold.

    Raises:
        OSError: The disk failed; nothing has changed.
        Damaged: A log segment is damaged.
    """
    async with tenant.maintenance:
        if tenant.closed or tenant.reasons or tenant.group_commit.journal is None:
            return
        async with tenant.group_commit.paused():
            if tenant.store_state().mode != "ok" or not await _turn(tenant):
                return
            log, generation = tenant.log, tenant.group_commit.journal.generation
            frozen, tail = snapshot(tenant.state, generation, log.anchor, log.segments), tuple(log.tail)
        disk, folder = tenant.disk, tenant.folder
        summary, length = await tenant.run(lambda: _write(disk, folder, frozen, tail, keep_days))
        log.folded(summary.segments, summary.anchor)
        tenant.fold_at = fold_at(length)
        before, tenant.generation = tenant.generation, generation
        await tenant.run(lambda: _tidy(disk, folder, summary, before))


async def _turn(tenant: Tenant) -> bool:
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


def _write(
    disk: Disk, folder: Path, frozen: Snapshot, tail: tuple[LogEntry, ...], keep_days: int
) -> tuple[Summary, int]:
    summary = frozen.summary
    segments, anchor = fold_entries(disk, folder, summary.segments, tail), summary.anchor
    if oldest := retention_start(summary.now, keep_days):
        segments, anchor = retained(segments, anchor, oldest)
    summary = msgspec.structs.replace(summary, anchor=anchor, segments=segments)
    frozen = msgspec.structs.replace(frozen, summary=summary)
    return summary, write_folded(disk, folder / store_name(summary.generation), frozen, pause=pause)


def _tidy(disk: Disk, folder: Path, summary: Summary, before: int) -> None:
    """Keep the generation ``before`` as the last good one and remove older ones; on failure the next fold does it."""
    listed = {segment.name for segment in summary.segments}
    try:
        previous = folder / PREVIOUS
        disk.make_folder(previous)
        for found in (stores(disk, folder), journals(disk, folder)):
            for number, path in found.items():
                if number < before:
                    drop(disk, path)
                elif number < summary.generation and path.parent == folder:
                    disk.replace(path, previous / path.name)
        for name in disk.names(previous):
            if name.endswith(".seg") and name not in listed:
                drop(disk, previous / name)
        for name in disk.names(folder):
            if name.endswith(".seg") and name not in listed:
                disk.replace(folder / name, previous / name)
        disk.sync_folder(previous)
        disk.sync_folder(folder)
    except OSError:
        return


def fold_if_due(tenant: Tenant, keep_days: int) -> None:
    """Fold in the background after a commit if the journal is long."""
    journal = tenant.group_commit.journal
    if journal is None or tenant.folding or journal.length < tenant.fold_at:
        return
    tenant.folding = True
    tenant.spawn(_fold_in_background(tenant, keep_days))


async def _fold_in_background(tenant: Tenant, keep_days: int) -> None:
    """Fold a tenant that is marked as folding; a fold that fails is tried again or reported."""
    try:
        await fold(tenant, keep_days)
    except OSError:  # the journal stays in use; try again when it has grown as much again
        tenant.fold_at += FOLD_AT
    except Damaged as error:
        tenant.report_damage(f"a log segment {error.reason}")
    finally:
        tenant.folding = False

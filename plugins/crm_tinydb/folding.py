"""The fold: the journal's outcome goes into the TinyDB-readable file of the next generation, while writes go on."""

from __future__ import annotations

import time
from pathlib import Path

from crm_core.model.log import Head, LogEntry
from crm_tinydb.disk import Disk, drop
from crm_tinydb.folded import Snapshot, snapshot, summary_of, tables, write_folded
from crm_tinydb.folded import store_name as store_file
from crm_tinydb.journal import Journal
from crm_tinydb.log import oldest_kept
from crm_tinydb.opening import journals, stores
from crm_tinydb.segments import PREVIOUS, Segment, fold_entries, retained
from crm_tinydb.tenant import Tenant, fold_at

PAUSE = 0.001  # seconds between slices, so that the loop never waits for the interpreter


def breathe() -> None:
    """Let the loop run between two slices of a fold."""
    time.sleep(PAUSE)


async def fold(tenant: Tenant, keep_days: int) -> None:
    """Fold now; nothing to do is fine. Raises OSError, then nothing has changed; Damaged where a segment is."""
    async with tenant.keeping:
        if tenant.gone or tenant.reasons or tenant.flights.journal is None:
            return
        async with tenant.flights.grounded():
            if tenant.store_state().mode != "ok" or not await _turn(tenant):
                return
            frozen, generation = snapshot(tenant.state), tenant.flights.journal.generation
            tail, segments, anchor = tuple(tenant.log.tail), tenant.log.segments, tenant.log.anchor
        oldest = oldest_kept(frozen.now, keep_days)
        disk, folder = tenant.disk, tenant.folder
        segments, anchor, length = await tenant.run(
            lambda: _write(disk, folder, generation, frozen, tail, segments, anchor, oldest)
        )
        tenant.log.folded(segments, anchor)
        tenant.fold_at = fold_at(length)
        before, tenant.generation = tenant.generation, generation
        kept = {segment.name for segment in segments}
        await tenant.run(lambda: tidy(disk, folder, generation, before, kept))


async def _turn(tenant: Tenant) -> bool:
    """Begin the next journal, unless the current one is still empty; False where nothing is to be folded."""
    old = tenant.flights.journal
    if old is None:
        return False
    if old.base == tenant.state.seq:
        return old.generation != tenant.generation
    base = tenant.state.seq
    try:
        fresh = await tenant.run(lambda: Journal.create(tenant.disk, tenant.folder, old.generation + 1, base))
    except OSError as error:
        # The new file may or may not be there: appending to the old one is only safe once that is known.
        tenant.flights.failed(error)
        raise
    old.close()
    tenant.flights.journal = fresh
    return True


def _write(  # noqa: PLR0917 -- a thread gets plain values
    disk: Disk,
    folder: Path,
    generation: int,
    frozen: Snapshot,
    tail: tuple[LogEntry, ...],
    segments: tuple[Segment, ...],
    anchor: Head,
    oldest: str,
) -> tuple[tuple[Segment, ...], Head, int]:
    segments = fold_entries(disk, folder, segments, tail)
    if oldest:
        segments, anchor = retained(segments, anchor, oldest)
    summary = summary_of(frozen, generation, anchor, segments)
    length = write_folded(disk, folder / store_file(generation), tables(summary, frozen), breathe)
    return segments, anchor, length


def tidy(disk: Disk, folder: Path, generation: int, before: int, kept: set[str]) -> None:
    """Keep the generation before as the last good one, remove what is older. Failing is fine: next time."""
    try:
        previous = folder / PREVIOUS
        disk.make_folder(previous)
        for found in (stores(disk, folder), journals(disk, folder)):
            for number, path in found.items():
                if number < before:
                    drop(disk, path)
                elif number < generation and path.parent == folder:
                    disk.replace(path, previous / path.name)
        for name in disk.names(previous):
            if name.endswith(".seg") and name not in kept:
                drop(disk, previous / name)
        for name in disk.names(folder):
            if name.endswith(".seg") and name not in kept:
                disk.replace(folder / name, previous / name)
        disk.sync_folder(previous)
        disk.sync_folder(folder)
    except OSError:
        return

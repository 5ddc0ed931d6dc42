"""Find the problems of a tenant's folder, as clauses for a report, and verify its chain."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crm_core.model.log import Head
from crm_core.plugin.query import ChainReport
from crm_tinydb.disk import Disk
from crm_tinydb.folded import read_folded
from crm_tinydb.framing import Damaged
from crm_tinydb.log_reading import reading
from crm_tinydb.segments import PREVIOUS, StoredSegment, segment_bytes
from crm_tinydb.tenant import Tenant
from crm_tinydb.tidying import journals, stores

_IN_MEMORY: Final = "memory still has everything: crm tenant backup, then crm tenant fold, before you stop the server"


async def verified(store: Tenant, head: Head | None) -> ChainReport:
    """As ``StorageBackend.verify``, of a tenant that is in use."""
    async with store.maintenance:
        view, newest, first = store.log_view(), store.state.head, store.generation

        def verify() -> ChainReport:
            found = journals(store.disk, store.folder)
            return view.verify([found[number] for number in sorted(found) if number >= first], newest, head)

        return await reading(store.run(verify))


async def checked(store: Tenant) -> tuple[str, ...]:
    """As ``StorageBackend.check``, of a tenant that is in use."""
    problems = list(store.reasons)
    if store.store_state().mode == "read_only":
        problems.append(store.store_state().reason)
    if store.torn:
        lines = "line was" if store.torn == 1 else "lines were"
        problems.append(f"{store.torn} unfinished {lines} dropped when the tenant was opened after a crash")
    async with store.maintenance:
        segments = (*store.log.segments, *store.changes.segments)
        problems += await reading(store.run(lambda: _examine(store.disk, store.folder, segments)))
    if store.readable:
        found = (await verified(store, None)).problems
        problems += found
        if found and not store.reasons and all(each.startswith(("journal-", "the chain ends")) for each in found):
            problems.append(_IN_MEMORY)
    return tuple(dict.fromkeys(problems))


def _examine(disk: Disk, folder: Path, segments: tuple[StoredSegment, ...]) -> list[str]:
    """Check files that an open tenant does not read, permissions and leftovers. Raises OSError."""
    problems = _names(disk, folder)
    for path in stores(disk, folder).values():
        try:
            read_folded(disk.read(path))
        except Damaged as error:
            problems.append(f"{path.name} {error.reason}")
    for segment in segments:
        try:
            segment_bytes(disk, folder, segment)
        except Damaged as error:
            problems.append(f"{segment.name} {error.reason}")
    return problems


def _names(disk: Disk, folder: Path) -> list[str]:
    problems = []
    for place in (folder, folder / PREVIOUS):
        if not disk.exists(place):
            continue
        if disk.mode(place) & 0o077:
            problems.append(f"{place.name} is open to others: chmod 0700")
        for name in disk.names(place):
            if name.endswith(".new"):
                problems.append(f"{name} was left by an interrupted write: it can be removed")
            elif ".damaged-" in name:
                why = "keep it until you know why; records erased since may be in it"
                problems.append(f"{name} was moved aside because it is damaged: {why}")
            elif name != PREVIOUS and disk.mode(place / name) & 0o177:
                problems.append(f"{name} is open to others: chmod 0600")
    return problems

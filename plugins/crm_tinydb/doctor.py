"""Find the problems of a tenant's folder, as clauses for a report."""

from __future__ import annotations

from pathlib import Path

from crm_tinydb.disk import Disk
from crm_tinydb.folded import read_folded
from crm_tinydb.framing import Damaged
from crm_tinydb.segments import PREVIOUS, StoredSegment, segment_bytes
from crm_tinydb.tidying import stores


def examine(disk: Disk, folder: Path, segments: tuple[StoredSegment, ...]) -> list[str]:
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

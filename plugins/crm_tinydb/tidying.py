"""The files of earlier generations: which there are, which stay after a fold."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from crm_tinydb.disk import Disk, drop
from crm_tinydb.folded import FoldedSummary
from crm_tinydb.segments import PREVIOUS

_STORE = re.compile(r"store-(\d{8})\.json")
_JOURNAL = re.compile(r"journal-(\d{8})\.log")


def _generations(disk: Disk, folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """The files of a kind by generation, including the previous one."""
    found: dict[int, Path] = {}
    for place in (folder / PREVIOUS, folder):
        if disk.exists(place):
            for name in disk.names(place):
                match = pattern.fullmatch(name)
                if match:
                    found[int(match[1])] = place / name
    return found


def stores(disk: Disk, folder: Path) -> dict[int, Path]:
    """Folded files by generation."""
    return _generations(disk, folder, _STORE)


def journals(disk: Disk, folder: Path) -> dict[int, Path]:
    """Journals by generation."""
    return _generations(disk, folder, _JOURNAL)


class Earlier(NamedTuple):
    """A generation before the newest, by its number, and the segments that it lists."""

    number: int
    segments: frozenset[str] = frozenset()


def tidy(disk: Disk, folder: Path, summary: FoldedSummary, before: Earlier) -> bool:
    """Keep the generation ``before`` as the last good one and remove older ones; whether all of that was done.

    The next fold does the rest. A sole generation keeps no earlier one: it is the first without records that were
    erased.
    """
    listed = {segment.name for segment in (*summary.segments, *summary.change_segments)}
    oldest, stay = (summary.generation, listed) if summary.sole else (before.number, listed | before.segments)
    done = True
    try:
        previous = folder / PREVIOUS
        disk.make_folder(previous)
        for found in (stores(disk, folder), journals(disk, folder)):
            for number, path in found.items():
                if number < oldest:
                    done &= drop(disk, path)
                elif number < summary.generation and path.parent == folder:
                    disk.replace(path, previous / path.name)
        for name in disk.names(previous):
            if name.endswith(".seg") and name not in stay:
                done &= drop(disk, previous / name)
        for name in disk.names(folder):
            if name.endswith(".seg") and name not in listed:
                if summary.sole:
                    done &= drop(disk, folder / name)
                else:
                    disk.replace(folder / name, previous / name)
        disk.sync_folder(previous)
        disk.sync_folder(folder)
    except OSError:
        return False
    return done


def drop_segments(disk: Disk, folder: Path, *, except_for: Collection[str]) -> None:
    """Remove the segments that a fold wrote before it failed, if possible; a later fold removes what is left."""
    with suppress(OSError):
        for name in disk.names(folder):
            if name.endswith(".seg") and name not in except_for:
                drop(disk, folder / name)

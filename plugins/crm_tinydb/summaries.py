"""The file ``summary`` of a closed tenant, from which lists of tenants are served without opening it.

It names the generation and length of the journal, and the length of the file of unverified attempts, that it belongs
to, and is not used if either has changed since, as before a crash. So it needs no sync.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from crm_core.model.log import LogEntry
from crm_core.plugin.storage import Document
from crm_core.plugin.summary import QUERIES, Summary, summary_of
from crm_tinydb.disk import Disk, drop, write_all
from crm_tinydb.framing import FORMAT, framed, unframed
from crm_tinydb.journal import Journal, journal_name
from crm_tinydb.log import LogView
from crm_tinydb.opening import MARKER
from crm_tinydb.ring import NAME as RING
from crm_tinydb.segments import SegmentDamaged
from crm_tinydb.tenant import Tenant

NAME = "summary"
Digest = Callable[[tuple[Document, ...]], bytes]
_encode = msgspec.json.Encoder().encode


class _Stored(msgspec.Struct, frozen=True):
    """The file's only line: the summary and the files that it belongs to; an earlier version named no ``attempts``."""

    format: int
    generation: int
    length: int
    summary: Summary
    attempts: int | None = None


_decoder = msgspec.json.Decoder(_Stored)


async def write_summary(tenant: Tenant, digest: Digest) -> None:
    """Write the summary of a tenant that has just been closed; if that fails it is opened when it is listed."""
    journal, log, state = tenant.group_commit.journal, tenant.log_view(), tenant.state
    if journal is not None and tenant.store_state().mode == "ok":
        sections = state.sections()
        await tenant.run(lambda: _write(log, journal, state.revision, sections, digest))


def _write(log: LogView, journal: Journal, revision: int, sections: tuple[Document, ...], digest: Digest) -> None:
    path = log.folder / NAME
    try:
        found = {name: tuple(map(_without_errors, log.find(query, _refuse))) for name, query in QUERIES.items()}
        summary = summary_of(revision, digest(sections), found)
        attempts = _length_of_attempts(log.disk, log.folder)
        line = framed(_encode(_Stored(FORMAT, journal.generation, journal.length, summary, attempts)))
        if not log.disk.exists(path) or log.disk.read(path) != line:
            handle = log.disk.open(path, create=True)
            try:
                write_all(log.disk, handle, line)
            finally:
                log.disk.close(handle)
    except (OSError, SegmentDamaged):
        drop(log.disk, path)


def read_summary(disk: Disk, folder: Path) -> Summary | None:
    """The summary of a closed tenant; None if it has none, has changed since, or is in quarantine."""
    with suppress(OSError, msgspec.MsgspecError):
        stored = _decoder.decode(unframed(disk.read(folder / NAME).removesuffix(b"\n")) or b"")
        current = folder / journal_name(stored.generation)
        later = folder / journal_name(stored.generation + 1)
        whole = stored.format == FORMAT and disk.size(current) == stored.length
        whole = whole and stored.attempts in (None, _length_of_attempts(disk, folder))
        if whole and not disk.exists(later) and not disk.exists(folder / MARKER):
            return stored.summary
    return None


def _length_of_attempts(disk: Disk, folder: Path) -> int:
    return disk.size(folder / RING) if disk.exists(folder / RING) else 0


def _without_errors(entry: LogEntry) -> LogEntry:
    return msgspec.structs.replace(entry, errors=msgspec.UNSET)


def _refuse(error: SegmentDamaged) -> None:
    """Write no summary of a damaged log: opening the tenant reports the damage."""
    raise error

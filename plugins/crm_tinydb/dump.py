"""A tenant as a dump and back, and the mark of a tenants folder whose tenants were copied."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Final

from crm_core.errors import SetupError
from crm_core.model.change_log import ChangeEntry
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import Claim, Document, DumpHead, IndexedDocument, Part, StoredChange
from crm_tinydb.change import LoggedChange, encode, one_line, storable
from crm_tinydb.change_log import ChangeLogView
from crm_tinydb.change_segments import decoder
from crm_tinydb.disk import Disk, write_file
from crm_tinydb.folded import Folded, Snapshot, summarized
from crm_tinydb.moments import moment_of
from crm_tinydb.segments import SegmentDamaged
from crm_tinydb.state import State
from crm_tinydb.tenant import Tenant

MARK: Final = ".mark"
_SOME: Final = 500  # parts read in a thread before they are passed on


async def dump(store: Tenant) -> AsyncGenerator[Part, None]:
    """As ``StorageBackend.dump``."""
    with store.in_use():
        async with store.maintenance:
            log, changes, frozen = await moment_of(store)
            summary = frozen.summary
            yield DumpHead(
                seq=summary.seq,
                revision=summary.revision,
                head=summary.head,
                anchor=summary.anchor,
                forgotten=summary.forgotten,
                epoch=summary.epoch,
                newest=summary.place,
            )
            ring = iter(sorted(log.ring, key=lambda entry: entry.id))
            parts: tuple[Iterator[Part], ...] = (_documents(frozen), _claims(frozen), log.chained(), ring)
            for each in (*parts, _changes(changes)):
                while some := await _read(store, each):
                    for part in some:
                        yield part


async def _read(store: Tenant, parts: Iterator[Part]) -> list[Part]:
    try:
        return await store.run(lambda: list(islice(parts, _SOME)))
    except SegmentDamaged as error:
        name = error.segment.name
        raise SetupError([f"{name} of {store.folder.name} {error.reason}: run crm doctor"]) from None
    except OSError as error:
        raise SetupError([f"the files of {store.folder.name} cannot be read: {error.strerror}"]) from None


def _documents(frozen: Snapshot) -> Iterator[IndexedDocument]:
    for name, rows in frozen.collections:
        for id_, (revision, body, names, values, _) in sorted(rows.items()):
            yield IndexedDocument(Document(name, id_, revision, body), dict(zip(names, values, strict=True)))


def _claims(frozen: Snapshot) -> Iterator[Claim]:
    for (kind, key), claim in sorted(frozen.claims.items(), key=itemgetter(0)):
        yield Claim(kind, key, *claim)


def _changes(view: ChangeLogView) -> Iterator[StoredChange]:
    for text in view.texts():
        logged = decoder.decode(text)
        yield StoredChange(logged.place, logged.entry)


class Loading:
    """A tenant that is made of the parts of a dump."""

    def __init__(self) -> None:
        self._state = State()
        self._anchor = self._state.head
        self._documents: list[IndexedDocument] = []
        self._log: list[LogEntry] = []
        self._ring: list[LogEntry] = []
        self._changes: list[bytes] = []
        self._newest: dict[str, int] = {}  # the place of the newest entry of each record

    def add(self, part: Part) -> None:
        """Add the next part. Raises SetupError if it cannot be stored."""
        match part:
            case DumpHead():
                state = self._state
                state.seq, state.revision, state.head = part.seq, part.revision, part.head
                state.forgotten, state.epoch, state.place = dict(part.forgotten), part.epoch, part.newest
                self._anchor = part.anchor
            case IndexedDocument():
                self._documents.append(part)
            case Claim():
                claim = part.evidence, part.expires, part.stamp, part.subject
                self._state.claims[part.kind, part.key] = claim
            case LogEntry():
                (self._ring if part.seq is None else self._log).append(part)
            case StoredChange():
                self._add_change(part.place, part.entry)

    def _add_change(self, place: int, entry: ChangeEntry) -> None:
        previous = self._newest.get(entry.id, 0) if entry.id else 0
        self._changes.append(encode(LoggedChange(place, previous, entry)))
        self._newest[entry.id] = place

    def folded(self) -> Folded:
        """The content of the tenant's files. Raises SetupError if a document cannot be stored."""
        for each in self._documents:
            document = each.document
            collection = self._state.collections.get(document.collection) or self._state.add(document.collection)
            try:
                body, indexes = one_line(document.body), storable(each.indexes)
            except ValueError as error:
                raise SetupError([f"{document.collection} {document.id} cannot be stored: {error}"]) from None
            place = self._newest.get(document.id, 0)
            collection.rows[document.id] = collection.row(document.revision, body, indexes, place)
        summary = summarized(self._state, 1, self._anchor)
        return Folded(summary, self._state, 0, tuple(self._log), tuple(self._ring), tuple(self._changes))


def read_mark(disk: Disk, tenants_dir: Path) -> bytes:
    """As ``StorageBackend.mark``. Raises SetupError."""
    try:
        return disk.read(tenants_dir / MARK) if disk.exists(tenants_dir / MARK) else b""
    except OSError as error:
        raise SetupError([f"{tenants_dir / MARK} cannot be read: {error.strerror}"]) from None


def write_mark(disk: Disk, tenants_dir: Path, mark: bytes) -> None:
    """As ``StorageBackend.set_mark``. Raises SetupError."""
    path = tenants_dir / MARK
    try:
        if mark:
            write_file(disk, path, mark)
        elif disk.exists(path):
            disk.remove(path)
            disk.sync_folder(tenants_dir)
    except OSError as error:
        raise SetupError([f"{path} cannot be written: {error.strerror}"]) from None

"""A storage backend on SQLite with a database for each tenant: an example that passes the whole suite.

Each tenant has one thread for all its work, so that the disk never blocks the event loop and units are tested in the
order they arrive. A unit is one transaction; SQLite's write-ahead log with ``synchronous=FULL`` makes it durable before
it is answered.
"""

# ruff: noqa: D102, INP001 -- StorageBackend documents each call; a single file is no package

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Literal, TypeVar

import msgspec

from crm_core.errors import SetupError, StorageFull, StorageUnavailable, UnknownTenant
from crm_core.model.change_log import ChangeEntry, redacted
from crm_core.model.log import Head, LogEntry, link
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin import hookimpl
from crm_core.plugin.dump import DumpHead, IndexedDocument, Part
from crm_core.plugin.query import (
    ChainReport,
    ChainWalk,
    ChangePage,
    EntryQuery,
    KeyUse,
    Page,
    PageQuery,
    Read,
    StoredChange,
    StoreState,
    Tally,
    View,
)
from crm_core.plugin.storage import Reindex, StorageBackend, StorageContext
from crm_core.plugin.unit import (
    Claim,
    Committed,
    Conflict,
    CountBelow,
    Document,
    DocumentAt,
    DocumentExists,
    Expectation,
    IndexFree,
    IndexValue,
    Put,
    Unit,
    WorkspaceAt,
)

T = TypeVar("T")
Failed = Literal["workspace", "document", "index", "count"]
SUFFIX: Final = ".sqlite3"
MARK: Final = ".sqlite3-mark"
READ_BYTES: Final = 4 << 20  # of changes that one call returns, unless a single one is longer
LAST: Final = "\U0010ffff"  # a prefix with LAST sorts after every text with that prefix

SCHEMA: Final = """
CREATE TABLE documents (collection TEXT, id TEXT, revision INTEGER, body BLOB, index_names TEXT,
                        index_values TEXT, PRIMARY KEY (collection, id));
CREATE TABLE indexes (collection TEXT, name TEXT, rank INTEGER, value, id TEXT,
                      PRIMARY KEY (collection, name, rank, value, id)) WITHOUT ROWID;
CREATE INDEX of_document ON indexes (collection, id, name);
CREATE TABLE claims (kind TEXT, key TEXT, evidence BLOB, expires INTEGER, stamp INTEGER, subject TEXT,
                     PRIMARY KEY (kind, key));
CREATE INDEX by_expiry ON claims (expires);
CREATE TABLE forgotten (kind TEXT PRIMARY KEY, stamp INTEGER);
CREATE TABLE log (id TEXT PRIMARY KEY, seq INTEGER UNIQUE, received_at TEXT, entry TEXT);
CREATE TABLE changes (place INTEGER PRIMARY KEY, type TEXT, id TEXT, change TEXT, at TEXT, entry BLOB);
CREATE INDEX of_record ON changes (type, id, place);
CREATE TABLE state (seq INTEGER, revision INTEGER, head_seq INTEGER, head_hash TEXT);
CREATE TABLE change_log (epoch TEXT, oldest INTEGER, newest INTEGER);
"""

DOCUMENT: Final = "d.collection, d.id, d.revision, d.body"
# Rows of a page in the order of the sort index: its primary key, read from where the last page ended.
SORTED: Final = """
FROM indexes s CROSS JOIN documents d ON d.collection = s.collection AND d.id = s.id
WHERE s.collection = :collection AND s.name = :sort AND s.rank > 0"""
# Documents without a value there sort as null, which is last in both directions, by id: the key of documents.
UNSORTED: Final = """
FROM documents d WHERE d.collection = :collection AND NOT EXISTS
 (SELECT 1 FROM indexes s WHERE s.collection = d.collection AND s.id = d.id AND s.name = :sort AND s.rank > 0)"""
COUNTED: Final = "SELECT count(*) FROM documents d WHERE d.collection = :collection"
HAS: Final = """
 EXISTS (SELECT 1 FROM indexes f WHERE f.collection = d.collection AND f.id = d.id AND f.name = :n{0} AND {1})"""
IS_NULL: Final = """
 NOT EXISTS (SELECT 1 FROM indexes f WHERE f.collection = d.collection AND f.id = d.id AND f.name = :n{0}
                 AND f.rank > 0)"""
FORGET: Final = """
INSERT INTO forgotten VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET stamp = max(stamp, excluded.stamp)"""


class _Refused(Exception):
    """Rolls a unit back, with the conflict."""

    def __init__(self, conflict: Conflict) -> None:
        self.conflict = conflict


class Tenant:
    """One tenant's database, and the thread for all its work."""

    def __init__(self, path: Path, reindex: Reindex) -> None:
        self.path, self._reindex = path, reindex
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=path.stem)
        self.committed = asyncio.Event()  # set, and replaced, at each commit
        self.failure: StorageUnavailable | StorageFull | None = None
        self._db: sqlite3.Connection | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The connection; only the tenant's thread uses it."""
        if self._db is None:
            self._db = connect(self.path)
            index_again(self._db, self._reindex)
        return self._db

    def close(self) -> None:
        """Close the file, which also writes the write-ahead log into it."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def state(self) -> tuple[int, int, Head]:
        """Seq, workspace revision and the log's head."""
        seq, revision, head_seq, head_hash = self.db.execute("SELECT * FROM state").fetchone()
        return seq, revision, Head(head_seq, head_hash)


def connect(path: Path) -> sqlite3.Connection:
    """A connection with durable commits and explicit transactions, which overwrites what it deletes."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")
    return db


def sync(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class SQLiteBackend(StorageBackend):
    """A file for each tenant under ``tenants_dir``."""

    NAME = "sqlite"
    EXCLUSIVE = True

    def __init__(self) -> None:
        self._tenants_dir = Path()
        self._tenants: dict[str, Tenant] = {}
        self._context = StorageContext(Path())

    async def open(self, context: StorageContext) -> None:
        if context.options:
            raise SetupError([f"storage: sqlite takes no options; remove {', '.join(context.options)}"])
        self._context, self._tenants_dir = context, context.tenants_dir
        self._tenants_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tenants = {path.stem: Tenant(path, context.reindex) for path in self._tenants_dir.glob(f"*{SUFFIX}")}

    async def close(self) -> None:
        for tenant in self._tenants.values():
            await self._close(tenant)

    async def _close(self, tenant: Tenant) -> None:
        await asyncio.get_running_loop().run_in_executor(tenant.thread, tenant.close)
        tenant.thread.shutdown()

    async def _run(self, name: str, work: Callable[[Tenant], T]) -> T:
        """Run work in a tenant's thread. Raises UnknownTenant, StorageUnavailable, StorageFull."""
        tenant = self._tenants.get(name)
        if tenant is None:
            raise UnknownTenant("This instance has no such tenant.")
        return await asyncio.wrap_future(tenant.thread.submit(_convert_errors, tenant, work))

    async def tenants(self) -> list[str]:
        return sorted(self._tenants)

    async def has(self, tenant: str) -> bool:
        return tenant in self._tenants

    async def create(self, tenant: str) -> None:
        empty = DumpHead(seq=0, revision=0, head=Head(), anchor=Head(), forgotten={}, epoch=token_hex(8), newest=0)
        await self._add(tenant, lambda path: fill(path, [empty]))

    async def dump(self, tenant: str) -> AsyncGenerator[Part, None]:
        for part in await self._run(tenant, lambda store: list(parts_of(store))):
            yield part

    async def load(self, tenant: str, parts: AsyncIterator[Part]) -> None:
        everything = [part async for part in parts]
        await self._add(tenant, lambda path: fill(path, everything))

    async def mark(self) -> bytes:
        path = self._tenants_dir / MARK
        return path.read_bytes() if path.exists() else b""

    async def set_mark(self, mark: bytes) -> None:
        path, new_path = self._tenants_dir / MARK, self._tenants_dir / f"{MARK}.new"
        if mark:
            with new_path.open("wb") as file:
                file.write(mark)
                file.flush()
                os.fsync(file.fileno())
            new_path.rename(path)
        else:
            path.unlink(missing_ok=True)
        sync(self._tenants_dir)

    async def restore(self, tenant: str, source: Path) -> None:
        def copy(path: Path) -> None:
            shutil.copyfile(source, path)
            try:
                with sqlite3.connect(path) as db:
                    whole = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                    db.execute("UPDATE change_log SET epoch = ?", (token_hex(8),))
                db.close()
            except sqlite3.DatabaseError:
                whole = False
            if not whole:
                raise SetupError([f"{source} is not a whole backup: use another copy"])

        await self._add(tenant, copy)

    async def _add(self, name: str, make: Callable[[Path], None]) -> None:
        """Add a tenant, whose file gets its name when it is complete."""
        if name in self._tenants:
            raise SetupError([f"the tenant {name} exists already"])
        new_path, path = self._tenants_dir / f"{name}.new", self._tenants_dir / f"{name}{SUFFIX}"

        def work() -> None:
            new_path.unlink(missing_ok=True)
            try:
                make(new_path)
                new_path.chmod(0o600)
                new_path.rename(path)
                sync(self._tenants_dir)
            finally:
                new_path.unlink(missing_ok=True)

        await asyncio.to_thread(work)
        self._tenants[name] = Tenant(path, self._context.reindex)

    async def rename(self, tenant: str, name: str) -> None:
        if name in self._tenants:
            raise SetupError([f"the tenant {name} exists already"])

        def work(store: Tenant) -> None:
            store.close()
            store.path = store.path.rename(self._tenants_dir / f"{name}{SUFFIX}")
            sync(self._tenants_dir)

        await self._run(tenant, work)
        self._tenants[name] = self._tenants.pop(tenant)

    async def remove(self, tenant: str) -> None:
        def work(store: Tenant) -> None:
            store.close()
            store.path.unlink()
            sync(self._tenants_dir)

        await self._run(tenant, work)
        del self._tenants[tenant]

    async def backup(self, tenant: str, target: Path) -> None:
        if target.exists():
            raise SetupError([f"{target} exists already: name a new file"])
        await self._run(tenant, lambda store: store.db.execute("VACUUM INTO ?", (str(target),)).fetchall())

    async def view(self, tenant: str, seen: int | None) -> View:
        def work(store: Tenant) -> View:
            seq, revision, head = store.state()
            documents = None if seen == revision else tuple(documents_of(store.db, "sections"))
            return View(revision, seq, head, documents, epoch_of(store.db))

        return await self._run(tenant, work)

    async def get(self, tenant: str, collection: str, id: str) -> Read:  # noqa: A002 -- the interface's word
        return await self._run(tenant, lambda store: Read(document(store.db, collection, id), store.state()[1]))

    async def find(self, tenant: str, collection: str, index: str, value: IndexValue) -> Read:
        def work(store: Tenant) -> Read:
            id_ = first_id(store.db, collection, index, value)
            return Read(None if id_ is None else document(store.db, collection, id_), store.state()[1])

        return await self._run(tenant, work)

    async def page(self, tenant: str, query: PageQuery) -> Page:
        return await self._run(tenant, lambda store: page(store, query))

    async def count(self, tenant: str, collection: str) -> int:
        return await self._run(tenant, lambda store: count(store.db, collection))

    async def claim(self, tenant: str, kind: str, key: str) -> bytes | None:
        def work(store: Tenant) -> bytes | None:
            row = store.db.execute("SELECT evidence FROM claims WHERE kind = ? AND key = ?", (kind, key)).fetchone()
            return None if row is None else row[0]

        return await self._run(tenant, work)

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        outcome = await self._run(tenant, lambda store: commit(store, unit))
        store = self._tenants[tenant]
        if isinstance(outcome, Committed):
            store.committed.set()
            store.committed = asyncio.Event()
        return outcome

    def note(self, tenant: str, entry: LogEntry) -> None:
        store = self._tenants.get(tenant)
        if store is not None:
            limit = self._context.log_max_unverified
            store.thread.submit(_convert_errors, store, lambda each: note(each.db, entry, limit))

    async def entries(self, tenant: str, query: EntryQuery) -> tuple[LogEntry, ...]:
        return await self._run(tenant, lambda store: tuple(entries(store.db, query)))

    async def tally(self, tenant: str, since: str) -> Tally:
        return await self._run(tenant, lambda store: tally(store.db, since))

    async def verify(self, tenant: str, head: Head | None = None) -> ChainReport:
        return await self._run(tenant, lambda store: verify(store, head))

    async def changes(self, tenant: str, after: int | None, limit: int = 500) -> ChangePage:
        return await self._run(tenant, lambda store: changes(store, after, limit))

    async def history(
        self,
        tenant: str,
        type: str,  # noqa: A002 -- the interface's word
        id: str,  # noqa: A002 -- the interface's word
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[StoredChange, ...]:
        # An erased record has no history: the entry that says so is its newest.
        query = (
            "SELECT place, entry FROM changes WHERE type = ?1 AND id = ?2 AND (?3 IS NULL OR place < ?3) "
            "AND NOT EXISTS (SELECT 1 FROM changes WHERE type = ?1 AND id = ?2 AND change = 'erased') "
            "ORDER BY place DESC LIMIT ?4"
        )
        return await self._run(tenant, lambda store: stored_changes(store.db.execute(query, (type, id, before, limit))))

    async def wait(self, tenant: str, after: int) -> None:
        committed = self._tenants[tenant].committed if tenant in self._tenants else asyncio.Event()
        if await self._run(tenant, lambda store: store.state()[0]) <= after:
            await committed.wait()

    async def state(self, tenant: str) -> StoreState:
        return (await self.troubled()).get(tenant, StoreState())

    async def troubled(self) -> Mapping[str, StoreState]:
        return {
            name: StoreState("read_only", tenant.failure.detail)
            for name, tenant in self._tenants.items()
            if tenant.failure is not None
        }

    async def fold(self, tenant: str) -> None:
        await self._run(tenant, lambda store: forget_old(store.db, self._context.log_keep_days))
        await self._run(tenant, lambda store: forget_old_changes(store.db, self._context.changes_keep_days))
        await self._run(tenant, lambda store: store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

    async def check(self, tenant: str) -> tuple[str, ...]:
        def work(store: Tenant) -> tuple[str, ...]:
            found = [text for (text,) in store.db.execute("PRAGMA integrity_check") if text != "ok"]
            return (*found, *verify(store, None).problems)

        return await self._run(tenant, work)

    async def documents(self, tenant: str, collection: str) -> AsyncIterator[Document]:
        for document in await self._run(tenant, lambda store: list(documents_of(store.db, collection))):
            yield document


def _convert_errors(tenant: Tenant, work: Callable[[Tenant], T]) -> T:
    """Run work; an SQLite error rolls the transaction back and becomes one of the interface's errors."""
    try:
        return work(tenant)
    except sqlite3.Error as error:
        if tenant.db.in_transaction:
            tenant.db.execute("ROLLBACK")
        full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
        kind = StorageFull if full else StorageUnavailable
        why = f"SQLite: {error}"
        raise kind(
            "The database cannot be used now. Try again in a moment.", retry_after=5, operator_detail=why
        ) from None


def commit(tenant: Tenant, unit: Unit) -> Committed | Conflict:
    """Commit a unit as one transaction. After a failure the next unit tests whether writes work again."""
    db = tenant.db
    try:
        db.execute("BEGIN IMMEDIATE")
        done = apply(tenant, unit)
        db.execute("COMMIT")
    except _Refused as refused:
        db.execute("ROLLBACK")
        return refused.conflict
    except sqlite3.Error:
        tenant.failure = StorageUnavailable("The last write to the database failed. The next write tries again.")
        raise
    tenant.failure = None
    return done


def apply(tenant: Tenant, unit: Unit) -> Committed:
    """Test and write a unit. Raises _Refused with the first conflict."""
    db = tenant.db
    seq, revision, head = tenant.state()
    forget_claims(db, unit.now)
    db.executemany("DELETE FROM claims WHERE kind = ? AND key = ?", unit.releases)
    for claim in unit.claims:
        add_claim(db, claim)
    for expectation in unit.expect:
        if (what := failed_expectation(db, expectation, unit, revision)) is not None:
            raise _Refused(Conflict(what, expectation=expectation))
    revisions = tuple(write(db, put) for put in unit.puts)
    for delete in unit.deletes:
        remove(db, delete.collection, delete.id)
    for entry in unit.entries:
        linked = link(entry, head)
        head = Head(linked.seq or 0, linked.entry_hash or "")
        log(db, linked)
    seq, revision = seq + 1, revision + unit.revises
    log_changes(db, unit.changes)
    db.execute(
        "UPDATE state SET seq = ?, revision = ?, head_seq = ?, head_hash = ?", (seq, revision, head.seq, head.hash)
    )
    return Committed(seq, revision, head, revisions)


def forget_claims(db: sqlite3.Connection, now: int) -> None:
    """Delete expired claims, but store the highest stamp of each kind."""
    forgotten = db.execute("SELECT kind, max(stamp) FROM claims WHERE expires < ? GROUP BY kind", (now,)).fetchall()
    for kind, stamp in forgotten:
        if stamp is not None:
            db.execute(FORGET, (kind, stamp))
    db.execute("DELETE FROM claims WHERE expires < ?", (now,))


def add_claim(db: sqlite3.Connection, claim: Claim) -> None:
    """Add a claim. Raises _Refused if it exists, or may have existed."""
    existing = db.execute("SELECT evidence FROM claims WHERE kind = ? AND key = ?", (claim.kind, claim.key)).fetchone()
    if existing is not None:
        raise _Refused(Conflict("claim", claim=claim, evidence=existing[0]))
    forgotten = db.execute("SELECT stamp FROM forgotten WHERE kind = ?", (claim.kind,)).fetchone()
    if forgotten is not None and claim.stamp is not None and claim.stamp <= forgotten[0]:
        raise _Refused(Conflict("forgotten", claim=claim))
    row = (claim.kind, claim.key, claim.evidence, claim.expires, claim.stamp, claim.subject)
    db.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?)", row)


def failed_expectation(db: sqlite3.Connection, expectation: Expectation, unit: Unit, revision: int) -> Failed | None:
    """The failed expectation, as a conflict names it; None if it is met."""
    match expectation:
        case WorkspaceAt(wanted, epoch):
            return "workspace" if wanted != revision or epoch not in ("", epoch_of(db)) else None
        case DocumentAt(collection, id_, wanted):
            existing = document(db, collection, id_)
            return "document" if wanted != (existing.revision if existing else 0) else None
        case DocumentExists(collection, id_):
            return "document" if document(db, collection, id_) is None else None
        case IndexFree(collection, index, value, id_):
            gone = [id_, *(delete.id for delete in unit.deletes if delete.collection == collection)]
            return "index" if first_id(db, collection, index, value, but=gone) is not None else None
        case CountBelow(collection, limit):
            ids = {row[0] for row in db.execute("SELECT id FROM documents WHERE collection = ?", (collection,))}
            ids |= {put.id for put in unit.puts if put.collection == collection}
            ids -= {delete.id for delete in unit.deletes if delete.collection == collection}
            return "count" if len(ids) > limit else None


def epoch_of(db: sqlite3.Connection) -> str:
    """The epoch of the change log, another one after each restore."""
    return str(db.execute("SELECT epoch FROM change_log").fetchone()[0])


def sort_key(value: IndexValue) -> tuple[int, Any]:
    """A sort key across types: null, which ``page`` puts last, false, true, integers, texts."""
    if value is None or isinstance(value, bool):
        return ({None: 0, False: 1, True: 2}[value], "")
    return (3, value) if isinstance(value, int) else (4, value)


def value_of(rank: int, value: Any) -> IndexValue:
    """The value of a sort key."""
    known: IndexValue = (None, False, True)[rank] if rank < 3 else value
    return known


def write(db: sqlite3.Connection, put: Put) -> int:
    """Put a document; return its revision."""
    existing = document(db, put.collection, put.id)
    revision = max(existing.revision if existing else 0, put.moved_at) + 1
    insert(db, Document(put.collection, put.id, revision, put.body), put.indexes)
    return revision


def insert(db: sqlite3.Connection, document: Document, indexes: Mapping[str, IndexValue]) -> None:
    """Write a document, replacing one with its id, and its index values."""
    collection, id_ = document.collection, document.id
    remove(db, collection, id_)
    names, values = (msgspec.json.encode(tuple(each)).decode() for each in (indexes, indexes.values()))
    row = (collection, id_, document.revision, document.body, names, values)
    db.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)", row)
    rows = {
        (collection, name, *sort_key(each), id_)
        for name, value in indexes.items()
        for each in (value if isinstance(value, tuple) else (value,))
    }
    db.executemany("INSERT INTO indexes VALUES (?, ?, ?, ?, ?)", rows)


def index_again(db: sqlite3.Connection, reindex: Reindex) -> None:
    """Bring documents that an earlier version wrote into the form of this one; they keep their revisions."""
    db.execute("BEGIN IMMEDIATE")
    for collection, names in db.execute("SELECT DISTINCT collection, index_names FROM documents").fetchall():
        compute = reindex(collection, msgspec.json.decode(names, type=tuple[str, ...]))
        if compute is not None:
            query = f"SELECT {DOCUMENT} FROM documents d WHERE collection = ? AND index_names = ?"  # noqa: S608 -- constants
            for row in db.execute(query, (collection, names)).fetchall():
                old = Document(*row)
                body, indexes = compute(old.body)
                insert(db, Document(collection, old.id, old.revision, body), indexes)
    db.execute("COMMIT")


def log_changes(db: sqlite3.Connection, entries: tuple[ChangeEntry, ...]) -> None:
    """Add a unit's entries to the change log; an erased record's earlier ones are redacted, and answers about it."""
    newest: int = db.execute("SELECT newest FROM change_log").fetchone()[0]
    for place, entry in enumerate(entries, newest + 1):
        if entry.change == "erased":
            query = "SELECT place, entry FROM changes WHERE type = ? AND id = ?"
            for earlier, text in db.execute(query, (entry.type, entry.id)).fetchall():
                clean = redacted(msgspec.json.decode(text, type=ChangeEntry))
                db.execute("UPDATE changes SET entry = ? WHERE place = ?", (msgspec.json.encode(clean), earlier))
            db.execute("UPDATE claims SET evidence = ? WHERE subject = ?", (b"null", entry.id))
        log_change(db, place, entry)
    db.execute("UPDATE change_log SET newest = ?", (newest + len(entries),))


def log_change(db: sqlite3.Connection, place: int, entry: ChangeEntry) -> None:
    """Write an entry of the change log at its place."""
    row = (place, entry.type, entry.id, entry.change, entry.at, msgspec.json.encode(entry))
    db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", row)


def parts_of(tenant: Tenant) -> Iterator[Part]:
    """All of a tenant, in the order of a dump."""
    db = tenant.db
    seq, revision, head = tenant.state()
    epoch, _, newest = db.execute("SELECT * FROM change_log").fetchone()
    forgotten = dict(db.execute("SELECT * FROM forgotten"))
    yield DumpHead(
        seq=seq,
        revision=revision,
        head=head,
        anchor=verify(tenant, None).anchor,
        forgotten=forgotten,
        epoch=epoch,
        newest=newest,
    )
    for row in db.execute("SELECT * FROM documents ORDER BY collection, id"):
        names, values = msgspec.json.decode(row[4]), msgspec.json.decode(row[5], type=tuple[IndexValue, ...])
        yield IndexedDocument(Document(*row[:4]), dict(zip(names, values, strict=True)))
    for row in db.execute("SELECT * FROM claims ORDER BY kind, key"):
        yield Claim(*row)
    for (text,) in db.execute("SELECT entry FROM log ORDER BY seq IS NULL, seq, id"):
        yield msgspec.json.decode(text, type=LogEntry)
    for place, text in db.execute("SELECT place, entry FROM changes ORDER BY place"):
        yield StoredChange(place, msgspec.json.decode(text, type=ChangeEntry))


def fill(path: Path, parts: Iterable[Part]) -> None:
    """Make a database of the parts of a dump."""
    db = connect(path)
    db.executescript(f"BEGIN; {SCHEMA} COMMIT")
    db.execute("BEGIN")
    for part in parts:
        match part:
            case DumpHead():
                row = (part.seq, part.revision, part.head.seq, part.head.hash)
                db.execute("INSERT INTO state VALUES (?, ?, ?, ?)", row)
                db.execute("INSERT INTO change_log VALUES (?, ?, ?)", (part.epoch, part.newest, part.newest))
                db.executemany("INSERT INTO forgotten VALUES (?, ?)", part.forgotten.items())
            case IndexedDocument(document, indexes):
                insert(db, document, indexes)
            case Claim():
                db.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(part))
            case LogEntry():
                log(db, part)
            case StoredChange(place, entry):
                log_change(db, place, entry)
    db.execute("UPDATE change_log SET oldest = coalesce((SELECT min(place) - 1 FROM changes), newest)")
    db.execute("COMMIT")
    db.close()


def some(rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """The first rows of place and entry, up to ``READ_BYTES``."""
    size = 0
    for place, text in rows:
        if size and size + len(text) > READ_BYTES:
            return
        size += len(text)
        yield place, text


def stored_changes(rows: Iterable[tuple[int, bytes]]) -> tuple[StoredChange, ...]:
    """Changes from rows of place and entry, up to ``READ_BYTES``."""
    return tuple(StoredChange(place, msgspec.json.decode(text, type=ChangeEntry)) for place, text in some(rows))


def changes(tenant: Tenant, after: int | None, limit: int) -> ChangePage:
    """Changes after a place, or only where the log is."""
    seq, revision, _ = tenant.state()
    epoch, oldest, newest = tenant.db.execute("SELECT * FROM change_log").fetchone()
    if after is None:
        return ChangePage(epoch, oldest, newest, seq, revision)
    if not oldest <= after <= newest:
        return ChangePage(epoch, oldest, newest, seq, revision, after, None)
    rows = tenant.db.execute("SELECT place, entry FROM changes WHERE place > ? ORDER BY place LIMIT ?", (after, limit))
    return ChangePage(epoch, oldest, newest, seq, revision, after, tuple(text for _, text in some(rows)))


def remove(db: sqlite3.Connection, collection: str, id_: str) -> None:
    """Delete a document and its index values."""
    db.execute("DELETE FROM documents WHERE collection = ? AND id = ?", (collection, id_))
    db.execute("DELETE FROM indexes WHERE collection = ? AND id = ?", (collection, id_))


def document(db: sqlite3.Connection, collection: str, id_: str) -> Document | None:
    """A document, None if there is none."""
    query = f"SELECT {DOCUMENT} FROM documents d WHERE collection = ? AND id = ?"  # noqa: S608 -- a constant
    row = db.execute(query, (collection, id_)).fetchone()
    return None if row is None else Document(*row)


def documents_of(db: sqlite3.Connection, collection: str) -> Iterator[Document]:
    """Every document of a collection, by id."""
    query = f"SELECT {DOCUMENT} FROM documents d WHERE collection = ? ORDER BY id"  # noqa: S608 -- a constant
    for row in db.execute(query, (collection,)):
        yield Document(*row)


def count(db: sqlite3.Connection, collection: str) -> int:
    """The number of documents in a collection."""
    number: int = db.execute("SELECT count(*) FROM documents WHERE collection = ?", (collection,)).fetchone()[0]
    return number


def first_id(
    db: sqlite3.Connection, collection: str, index: str, value: IndexValue, but: Sequence[str] = ()
) -> str | None:
    """The lowest id with a value in an index, except ``but``."""
    row = db.execute(
        "SELECT min(id) FROM indexes WHERE collection = ? AND name = ? AND rank = ? AND value = ?"
        " AND id NOT IN (SELECT value FROM json_each(?))",
        (collection, index, *sort_key(value), msgspec.json.encode(but).decode()),
    ).fetchone()
    found: str | None = row[0]
    return found


def page(tenant: Tenant, query: PageQuery) -> Page:
    """A page: rows that meet the conditions, after the last page, plus one row to see whether more follow."""
    values: dict[str, Any] = {"collection": query.collection, "sort": query.sort}
    where = "".join(_conditions(query, values))
    total = tenant.db.execute(COUNTED + where, values).fetchone()[0] if query.total else None
    rows: list[tuple[Any, ...]] = []
    for text, after in _statements(query, where):
        limit = query.limit + 1 - len(rows)
        rows += tenant.db.execute(text, values | after | {"limit": limit}).fetchall() if limit else ()
    page_rows = rows[: query.limit]
    last = (value_of(*page_rows[-1][4:]), page_rows[-1][1]) if len(rows) > query.limit else None
    return Page(tuple(Document(*row[:4]) for row in page_rows), last, tenant.state()[1], total)


def _statements(query: PageQuery, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements for a page's rows, first those with a value, and what each needs to continue the page before."""
    sign, direction = ("<", "DESC") if query.descending else (">", "ASC")
    rank, value = (0, "") if query.after is None else sort_key(query.after[0])
    after = {} if query.after is None else {"rank": rank, "value": value, "id": query.after[1]}
    if rank or not after:
        follows = f" AND (s.rank, s.value, s.id) {sign} (:rank, :value, :id)" if after else ""
        order = ", ".join(f"s.{column} {direction}" for column in ("rank", "value", "id"))
        yield f"SELECT {DOCUMENT}, s.rank, s.value {SORTED}{where}{follows} ORDER BY {order} LIMIT :limit", after
    follows = "" if rank or not after else f" AND d.id {sign} :id"
    yield f"SELECT {DOCUMENT}, 0, NULL {UNSORTED}{where}{follows} ORDER BY d.id {direction} LIMIT :limit", after


def _conditions(query: PageQuery, values: dict[str, Any]) -> Iterator[str]:
    """The query's conditions as SQL; adds their parameters to ``values``."""
    for at, (name, wanted) in enumerate(query.filters):
        each = []
        for number, value in enumerate(wanted):
            key = f"f{at}_{number}"
            values[f"n{key}"] = name
            values[f"r{key}"], values[f"v{key}"] = sort_key(value)
            test = IS_NULL.format(key) if value is None else HAS.format(key, f"f.rank = :r{key} AND f.value = :v{key}")
            each.append(test)
        yield f" AND ({' OR '.join(each)})"
    for at, term in enumerate(query.terms):
        values[f"nt{at}"] = query.search
        tests = []
        if term.prefix is not None:
            values[f"p{at}"], values[f"q{at}"] = term.prefix, term.prefix + LAST
            tests.append(f"f.value >= :p{at} AND f.value < :q{at}")
        if term.inside is not None:
            values[f"m{at}"], values[f"i{at}"] = term.inside
            tests.append(
                f"substr(f.value, 1, length(:m{at})) = :m{at} AND instr(substr(f.value, length(:m{at}) + 1), :i{at})"
            )
        yield " AND " + HAS.format(f"t{at}", f"f.rank = 4 AND ({' OR '.join(tests)})")
    for at, bound in enumerate(query.bounds):
        values[f"nb{at}"] = bound.index
        values[f"r{at}"], values[f"v{at}"] = sort_key(bound.value)
        sign = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[bound.comparison]
        yield " AND " + HAS.format(f"b{at}", f"f.rank > 0 AND (f.rank, f.value) {sign} (:r{at}, :v{at})")


def log(db: sqlite3.Connection, entry: LogEntry) -> None:
    """Write an entry, replacing one with the same id."""
    text = msgspec.json.encode(entry).decode()
    db.execute("INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?)", (entry.id, entry.seq, entry.received_at, text))


def note(db: sqlite3.Connection, entry: LogEntry, limit: int) -> None:
    """Write an unverified attempt; only the newest ``limit`` stay."""
    log(db, entry)
    oldest = "SELECT id FROM log WHERE seq IS NULL ORDER BY id DESC LIMIT 1 OFFSET ?"
    db.execute(f"DELETE FROM log WHERE seq IS NULL AND id <= ({oldest})", (limit,))  # noqa: S608 -- a constant


def entries(db: sqlite3.Connection, query: EntryQuery) -> Iterator[LogEntry]:
    """The log, newest first."""
    where, values = ["1"], []
    for name, value in query.equals:
        where.append("json_extract(entry, '$.' || ?) = ?")
        values += [name, value]
    bounds = (("received_at >= ?", query.since), ("received_at < ?", query.until), ("id < ?", query.after))
    for condition, value in bounds:
        if value is not None:
            where.append(condition)
            values.append(value)
    if query.verified is not None:
        where.append("seq IS NOT NULL" if query.verified else "seq IS NULL")
    sql = f"SELECT entry FROM log WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608 -- values are bound
    for (text,) in db.execute(sql, (*values, query.limit)):
        yield msgspec.json.decode(text, type=LogEntry)


def tally(db: sqlite3.Connection, since: str) -> Tally:
    """Counts over the log."""
    status, key = "json_extract(entry, '$.status')", "json_extract(entry, '$.key_version')"
    chained = f"SELECT {status}, count(*) FROM log WHERE seq IS NOT NULL AND received_at >= ? GROUP BY 1"  # noqa: S608 -- constants
    failed = f"{status} = 'failed' AND json_extract(entry, '$.signature_result') = 'valid'"
    ring = (
        f"SELECT iif({failed}, 'failed', 'unverified'), sum(json_extract(entry, '$.count')) FROM log "  # noqa: S608 -- constants
        f"WHERE seq IS NULL AND received_at >= ? AND {status} NOT IN ('applied', 'unchanged') GROUP BY 1"
    )
    uses = f"SELECT {key}, count(*), max(received_at) FROM log WHERE seq IS NOT NULL AND {key} IS NOT NULL GROUP BY 1"  # noqa: S608 -- constants
    statuses = Counter(dict(db.execute(chained, (since,))))
    statuses.update(dict(db.execute(ring, (since,))))
    return Tally(statuses, {version: KeyUse(number, last) for version, number, last in db.execute(uses)})


def verify(tenant: Tenant, head: Head | None) -> ChainReport:
    """Check the chain: each entry's hash, its link to the one before, and that no number is missing."""
    walk = None
    for (text,) in tenant.db.execute("SELECT entry FROM log WHERE seq IS NOT NULL ORDER BY seq"):
        entry = msgspec.json.decode(text, type=LogEntry)
        seq = entry.seq or 0
        walk = walk or ChainWalk(Head(seq - 1, entry.prev_hash or ""), head)
        walk.add(seq, entry)
    newest = tenant.state()[2]
    return (walk or ChainWalk(newest, head)).report(newest)


def forget_old(db: sqlite3.Connection, days: int) -> None:
    """Delete entries older than ``days`` before the newest; 0 deletes none."""
    newest = db.execute("SELECT max(received_at) FROM log").fetchone()[0]
    if days and newest:
        oldest = to_wire(from_wire(newest) - timedelta(days=days))
        db.execute("DELETE FROM log WHERE received_at < ?", (oldest,))


def forget_old_changes(db: sqlite3.Connection, days: int) -> None:
    """Delete changes older than ``days`` before the newest; 0 deletes none."""
    newest = db.execute("SELECT at FROM changes ORDER BY place DESC LIMIT 1").fetchone()
    if days and newest:
        oldest = to_wire(from_wire(newest[0]) - timedelta(days=days))
        first = "(SELECT min(place) FROM changes WHERE at >= ?)"  # a clock that stepped back makes no gap
        db.execute(f"UPDATE change_log SET oldest = {first} - 1", (oldest,))  # noqa: S608 -- a constant
        db.execute("DELETE FROM changes WHERE place <= (SELECT oldest FROM change_log)")


@hookimpl
def crm_register_storage_backends() -> list[type[StorageBackend]]:
    """Offer ``storage: {backend: sqlite}``."""
    return [SQLiteBackend]

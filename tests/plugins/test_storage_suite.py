"""Backends that each break one promise, and the case of the storage suite that finds it and says what it expected."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_core.model.log import Head
from crm_core.plugin.storage import (
    ChainReport,
    Claim,
    Committed,
    Conflict,
    IndexValue,
    Page,
    PageQuery,
    StorageBackend,
    StorageContext,
    StoreState,
    Term,
    Unit,
)
from crm_core.testing.storage import StorageHarness, StorageSuite
from shared_storage import SharedSQLiteBackend, sqlite

SQLiteBackend: Any = sqlite.SQLiteBackend
Outcome = Committed | Conflict


class LosesUnclosed(SQLiteBackend):  # type: ignore[misc]
    """Not durable: commits are in memory until the tenant is closed."""

    async def _run(self, name: str, work: Callable[[Any], Any]) -> Any:
        tenant = self._tenants.get(name)
        if tenant is not None and tenant._db is None:
            tenant._db = _InMemory(tenant.path)
        return await super()._run(name, work)


class _InMemory(sqlite3.Connection):
    """A database that is read into memory, and written when it is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(":memory:", isolation_level=None, check_same_thread=False)
        self._path = path
        with sqlite3.connect(path) as stored:
            stored.backup(self)
        stored.close()

    def close(self) -> None:
        with sqlite3.connect(self._path) as stored:
            self.backup(stored)
        stored.close()
        super().close()


class DirtyReads(SQLiteBackend):  # type: ignore[misc]
    """Readers see a unit before its transaction is committed."""

    async def commit(self, tenant: str, unit: Unit) -> Outcome:
        def begin(store: Any) -> Outcome:
            store.db.execute("BEGIN IMMEDIATE")
            try:
                done: Committed = sqlite.apply(store, unit)
            except sqlite._Refused as refused:
                store.db.execute("ROLLBACK")
                conflict: Conflict = refused.conflict
                return conflict
            return done

        def end(store: Any) -> None:
            store.db.execute("COMMIT")

        async with self.__dict__.setdefault("lock", asyncio.Lock()):
            done: Outcome = await self._run(tenant, begin)
            if isinstance(done, Committed):
                await asyncio.sleep(1)  # a kill comes in between
                await self._run(tenant, end)
        self._tenants[tenant].committed.set()
        return done


async def failed_expectation(backend: Any, tenant: str, unit: Unit) -> Conflict | None:
    """The first expectation of a unit that fails now."""

    def failed(store: Any) -> Conflict | None:
        revision = store.state()[1]
        for each in unit.expect:
            if (what := sqlite.failed_expectation(store.db, each, unit, revision)) is not None:
                return Conflict(what, expectation=each)
        return None

    conflict: Conflict | None = await backend._run(tenant, failed)
    return conflict


class JudgesBefore(SQLiteBackend):  # type: ignore[misc]
    """Judges expectations before the transaction."""

    async def commit(self, tenant: str, unit: Unit) -> Outcome:
        conflict = await failed_expectation(self, tenant, unit)
        done: Outcome = conflict or await super().commit(tenant, msgspec.structs.replace(unit, expect=()))
        return done


class JudgesUnderItsLock(SharedSQLiteBackend):
    """Judges expectations before the transaction, under a lock that another process does not have."""

    async def commit(self, tenant: str, unit: Unit) -> Outcome:
        async with self.__dict__.setdefault("lock", asyncio.Lock()):
            conflict = await failed_expectation(self, tenant, unit)
            done: Outcome = conflict or await super().commit(tenant, msgspec.structs.replace(unit, expect=()))
            return done


class TiesByInsertion(SQLiteBackend):  # type: ignore[misc]
    """Sorts documents with the same value in the order they were put."""

    async def page(self, tenant: str, query: PageQuery) -> Page:
        whole = msgspec.structs.replace(query, limit=1000, after=None)
        page: Page = await super().page(tenant, whole)

        def places(store: Any) -> dict[str, tuple[int, Any]]:
            rows = store.db.execute(
                "SELECT d.id, d.rowid, s.value FROM documents d JOIN indexes s USING (collection, id) WHERE s.name = ?",
                (query.sort,),
            )
            return {id_: (rowid, value) for id_, rowid, value in rows}

        found = await self._run(tenant, places)
        order = list(dict.fromkeys(found[each.id][1] for each in page.documents))
        rows = sorted(page.documents, key=lambda each: (order.index(found[each.id][1]), found[each.id][0]))
        ids = [each.id for each in rows]
        start = ids.index(query.after[1]) + 1 if query.after else 0
        rest = rows[start : start + query.limit]
        more = (found[rest[-1].id][1], rest[-1].id) if len(rows) > start + query.limit else None
        return msgspec.structs.replace(page, documents=tuple(rest), next=more)


class VerifiesAnything(SQLiteBackend):  # type: ignore[misc]
    """Finds every chain intact."""

    async def verify(self, tenant: str, head: Head | None = None) -> ChainReport:
        report: ChainReport = await super().verify(tenant, head)
        return msgspec.structs.replace(report, problems=())


class StaysReadOnly(SQLiteBackend):  # type: ignore[misc]
    """Accepts no write after one failed, until it is opened again."""

    async def commit(self, tenant: str, unit: Unit) -> Outcome:
        if (failure := self._tenants[tenant].failure) is not None:
            raise failure
        done: Outcome = await super().commit(tenant, unit)
        return done


class StaysTroubled(SQLiteBackend):  # type: ignore[misc]
    """Reports trouble for ever after one write failed."""

    async def troubled(self) -> Mapping[str, StoreState]:
        self.__dict__.setdefault("seen", {}).update(await super().troubled())
        seen: Mapping[str, StoreState] = self.__dict__["seen"]
        return seen


class SearchesByLike(SQLiteBackend):  # type: ignore[misc]
    """Searches with LIKE, which has wildcards and ignores the case of a to z."""

    async def page(self, tenant: str, query: PageQuery) -> Page:
        like = "f.value LIKE :p{0} || '%'"

        def conditions(asked: PageQuery, values: dict[str, Any]) -> Iterator[str]:
            yield from original(msgspec.structs.replace(asked, terms=()), values)
            for at, term in enumerate(asked.terms):
                values |= {f"nt{at}": asked.search, f"p{at}": term.prefix}
                yield " AND " + sqlite.HAS.format(f"t{at}", like.format(at))

        original = sqlite._conditions
        sqlite._conditions = conditions
        try:
            page: Page = await super().page(tenant, query)
        finally:
            sqlite._conditions = original
        return page


class BackupWithoutClaims(SQLiteBackend):  # type: ignore[misc]
    """Leaves the claims out of backups."""

    async def backup(self, tenant: str, target: Path) -> None:
        await super().backup(tenant, target)
        with sqlite3.connect(target) as db:
            db.execute("DELETE FROM claims")
        db.close()


class BackupWithoutForgotten(SQLiteBackend):  # type: ignore[misc]
    """Leaves the stamps of forgotten claims out of backups."""

    async def backup(self, tenant: str, target: Path) -> None:
        await super().backup(tenant, target)
        with sqlite3.connect(target) as db:
            db.execute("DELETE FROM forgotten")
        db.close()


class KeepsTheLog(SQLiteBackend):  # type: ignore[misc]
    """Ignores ``log_keep_days``."""

    async def open(self, context: StorageContext) -> None:
        await super().open(msgspec.structs.replace(context, log_keep_days=0))


class KeepsChanges(SQLiteBackend):  # type: ignore[misc]
    """Ignores ``changes_keep_days``."""

    async def open(self, context: StorageContext) -> None:
        await super().open(msgspec.structs.replace(context, changes_keep_days=0))


class ClaimsTwice(SQLiteBackend):  # type: ignore[misc]
    """Accepts a claim twice in one unit."""

    async def commit(self, tenant: str, unit: Unit) -> Outcome:
        claims: dict[tuple[str, str], Claim] = {(each.kind, each.key): each for each in unit.claims}
        done: Outcome = await super().commit(tenant, msgspec.structs.replace(unit, claims=tuple(claims.values())))
        return done


BROKEN = [
    (LosesUnclosed, "survives_kill", "the document of an answered unit must be there", "commit"),
    (LosesUnclosed, "survives_power_cut", "the document of an answered unit must be there", "power cut"),
    (DirtyReads, "a_reader_sees_only_what_survives_a_kill", "visible before it was durable", "a kill takes back"),
    (JudgesBefore, "expectations_are_tested_within_the_commit", "tested in the transaction that writes", "exclude"),
    (JudgesUnderItsLock, "expectations_are_tested_within_the_commit", "in the transaction that writes", "process"),
    (TiesByInsertion, "ties_by_id", "in the order of ids, not of insertion", "sorted by id"),
    (VerifiesAnything, "verify_computes_the_hashes", "verify must name a problem", "The log is evidence only if"),
    (StaysReadOnly, "a_failed_write_is_refused_whole", "accept a unit without a restart", "Once writes succeed again"),
    (StaysTroubled, "a_failed_write_is_refused_whole", "state must be ok", "has no trouble"),
    (SearchesByLike, "a_term_is_plain_text", "as text, but found", "no pattern of SQL"),
    (BackupWithoutClaims, "a_backup_has_the_claims", "the backup must have the claim", "could be replayed"),
    (BackupWithoutForgotten, "a_backup_has_the_claims", "forgotten before the backup must be refused", "replayed"),
    (KeepsTheLog, "old_entries_are_dropped", "33 days ago must be dropped", "how long personal data is stored"),
    (KeepsChanges, "old_changes_are_dropped", "a fold must drop entries that are older", "changes_keep_days"),
    (ClaimsTwice, "one_claim_twice_in_a_unit", "must be refused with a claim conflict", "a claim can be had once"),
]


async def failure_of(backend: type[StorageBackend], case: str, folder: Path) -> BaseException | None:
    """Run a case of the suite with a backend; how it failed, or None if it passed."""
    harness = StorageHarness(backend, StorageContext(folder / "tenants", log_max_unverified=200), folder)
    await harness.start()
    try:
        await getattr(StorageSuite(), f"test_{case}")(harness)
    except (AssertionError, pytest.fail.Exception) as failed:
        return failed
    finally:
        await harness.stop()
    return None


@pytest.fixture
def _few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_core.testing.storage_harness.TRIES", 3)
    monkeypatch.setattr("crm_core.testing.storage_faults.TRIES", 3)


@pytest.mark.usefixtures("_few_tries")
@pytest.mark.parametrize(("backend", "case", "message", "promise"), BROKEN)
async def test_a_broken_backend_fails_its_case(
    tmp_path: Path,
    backend: type[StorageBackend],
    case: str,
    message: str,
    promise: str,
) -> None:
    """The case of a broken promise fails with what was expected, and why."""
    failed = await failure_of(backend, case, tmp_path)
    assert failed is not None
    assert message in str(failed)
    (note,) = failed.__notes__
    assert note.startswith("Expected: ")
    assert promise in note


@pytest.mark.parametrize("case", sorted({case for _, case, _, _ in BROKEN}))
async def test_a_sound_backend_passes(tmp_path: Path, case: str) -> None:
    """The unbroken backend, opened by one process or by several, passes, or the failures would prove nothing."""
    assert await failure_of(SharedSQLiteBackend, case, tmp_path) is None


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("after", [None, ("Bob", "7"), (None, "7")])
def test_the_example_pages_with_indexes(tmp_path: Path, descending: bool, after: tuple[IndexValue, str] | None) -> None:
    """The backend of the docs reads the rows of a page in the order of an index: it sorts and scans nothing."""
    query = PageQuery(
        collection="notes", sort="name", descending=descending, filters=(("status", ("lead", None)),),
        terms=(Term("an"),), after=after,
    )  # fmt: skip
    db = sqlite.connect(tmp_path / "north.sqlite3")
    db.executescript(sqlite.SCHEMA)
    values: dict[str, Any] = {"collection": "notes", "sort": "name", "limit": 9}
    where = "".join(sqlite._conditions(query, values))
    statements = list(sqlite._statements(query, where))
    assert len(statements) == (1 if after == (None, "7") else 2)
    for text, more in statements:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", values | more)]
        assert plan
        assert not [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN")]
    db.close()

"""The storage backend on PostgreSQL: each call is one statement that names one tenant."""

# ruff: noqa: D102 -- StorageBackend documents each call

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import msgspec

from crm_core.errors import StorageFull, StorageUnavailable, UnknownTenant
from crm_core.model.log import Head, LogEntry
from crm_core.plugin.dump_file import read_dump, write_dump
from crm_core.plugin.storage import (
    ChainReport,
    ChangePage,
    Committed,
    Conflict,
    Document,
    DumpHead,
    EntryQuery,
    IndexValue,
    KeyUse,
    Page,
    PageQuery,
    Part,
    Read,
    StoredChange,
    StoreState,
    Tally,
    Unit,
    View,
)
from crm_postgresql.keys import key_of
from crm_postgresql.limits import LIST_SECONDS, LONG_SECONDS, PROBE_SECONDS, REASON_SECONDS
from crm_postgresql.rows import change_of, entry_of, read_of, start_of
from crm_postgresql.tenants import PostgreSQLTenants

_SCANNED: Final = 500
_CHAIN: Final = "SELECT * FROM crm.chain(%s, %s, 2000)"
_scanned = msgspec.json.Decoder(tuple[str | None, list[msgspec.Raw]])
_ALL: Final = 1 << 40
_MONTHS: Final = ""  # no tenant's name: what is done once a day for all


class PostgreSQLBackend(PostgreSQLTenants):
    """Tenants as rows. ``options``: ``dsn`` (it may name several hosts), ``pool`` (connections of a process, 10)."""

    NAME = "postgresql"
    EXCLUSIVE = False

    async def view(self, tenant: str, seen: int | None) -> View:
        return (await self.view_and_claims(tenant, seen, ()))[0]

    async def view_and_claims(
        self, tenant: str, seen: int | None, claims: Sequence[tuple[str, str]]
    ) -> tuple[View, list[bytes | None]]:
        key = await self._ready(tenant)
        return await self._of(tenant, self._on.reads.view(key, seen, claims))

    async def get(self, tenant: str, collection: str, id: str) -> Read:  # noqa: A002 -- the interface's word
        key = await self._ready(tenant)
        return await self._of(tenant, self._on.reads.get(key, collection, id))

    async def find(self, tenant: str, collection: str, index: str, value: IndexValue) -> Read:
        key = key_of(value[0] if isinstance(value, tuple) else value)
        query = "SELECT * FROM crm.find(%s, %s, %s, %s)"
        return read_of(collection, await self._rows(query, tenant, collection, index, key))

    async def page(self, tenant: str, query: PageQuery) -> Page:
        key = await self._ready(tenant)
        return await self._of(tenant, self._on.pages.get(key, query))

    async def count(self, tenant: str, collection: str) -> int:
        number: int = (await self._rows("SELECT crm.count(%s, %s)", tenant, collection))[0][0]
        return number

    async def collections(self, tenant: str) -> tuple[str, ...]:
        return tuple(name for (name,) in await self._rows("SELECT crm.collections(%s)", tenant))

    async def claim(self, tenant: str, kind: str, key: str) -> bytes | None:
        return await self._of(tenant, self._on.reads.claim(self._key(tenant), kind, key))

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        try:
            outcome = await self._of(tenant, self._on.commits.commit(self._key(tenant), unit))
        except (StorageUnavailable, StorageFull) as error:
            self._troubled[tenant] = StoreState("read_only", error.operator_detail)
            raise
        self._troubled.pop(tenant, None)
        if self._context.log_keep_days or self._context.changes_keep_days:
            self._folds.due(tenant, self.fold)
        self._folds.due(_MONTHS, self._months)
        return outcome

    def note(self, tenant: str, entry: LogEntry) -> None:
        if self._connected is not None:
            self._connected.attempts.add(self._key(tenant), entry)

    async def entries(self, tenant: str, query: EntryQuery) -> tuple[LogEntry, ...]:
        if query.verified is not True:
            await self._on.attempts.write(self._key(tenant))
        asked = msgspec.json.encode(query)
        rows = await self._rows("SELECT entry, prev_hash, entry_hash FROM crm.entries(%s, %s)", tenant, asked)
        return tuple(entry_of(*row) for row in rows)

    async def tally(self, tenant: str, since: str) -> Tally:
        await self._on.attempts.write(self._key(tenant))
        rows = await self._rows("SELECT * FROM crm.tally(%s, %s)", tenant, since)
        statuses = {status: number for status, _, number, _ in rows if status is not None}
        keys = {version: KeyUse(number, last) for status, version, number, last in rows if status is None}
        return Tally(statuses, keys)

    async def verify(self, tenant: str, head: Head | None = None) -> ChainReport:
        from crm_postgresql.chain import verify

        while True:
            epoch = await self._epoch(tenant)
            report = await verify(lambda after: self._rows(_CHAIN, tenant, after), head)
            if not report.problems or epoch == await self._epoch(tenant):
                return report  # else another tenant took the name during the walk

    async def changes(self, tenant: str, after: int | None, limit: int = 500) -> ChangePage:
        rows = await self._rows("SELECT * FROM crm.changes(%s, %s, %s)", tenant, after, limit)
        epoch, oldest, newest, seq, revision = rows[0][:5] if rows else await self._rows_at(tenant)
        page = ChangePage(epoch, oldest, newest, seq, revision, after or 0)
        if after is not None and not oldest <= after <= newest:
            return msgspec.structs.replace(page, texts=None)
        return msgspec.structs.replace(page, texts=tuple([row[6].encode() for row in rows if row[5] is not None]))

    async def _rows_at(self, tenant: str) -> tuple[Any, ...]:
        return (await self._rows("SELECT * FROM crm.changes(%s, NULL, 0)", tenant))[0][:5]

    async def history(
        self,
        tenant: str,
        type: str,  # noqa: A002 -- the interface's word
        id: str,  # noqa: A002 -- the interface's word
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[StoredChange, ...]:
        query = "SELECT * FROM crm.history(%s, %s, %s, %s, %s)"
        return tuple(change_of(*row) for row in await self._rows(query, tenant, type, id, before, limit))

    async def wait(self, tenant: str, after: int) -> None:
        await self._on.notices.wait(self._key(tenant), after)

    async def state(self, tenant: str) -> StoreState:
        try:
            await self._rows("SELECT crm.probe(%s, %s)", tenant, tenant in self._troubled)
        except (StorageUnavailable, StorageFull) as error:
            return StoreState("read_only", error.operator_detail)
        self._troubled.pop(tenant, None)
        return StoreState()

    async def troubled(self) -> Mapping[str, StoreState]:
        await self._answer("SELECT 1", (), PROBE_SECONDS, REASON_SECONDS)
        for tenant in list(self._troubled)[:20]:
            try:
                await self.state(tenant)
            except UnknownTenant:
                self._troubled.pop(tenant, None)
        return dict(sorted(self._troubled.items()))

    async def fold(self, tenant: str) -> None:
        epoch = await self._epoch(tenant)  # it must exist
        days = self._context.log_keep_days, self._context.changes_keep_days
        if not any(days):
            return
        (newest,) = await self._rows("SELECT * FROM crm.newest(%s)", tenant)
        starts = [start_of(moment, each) for moment, each in zip(newest, days, strict=True)]
        if any(starts):
            query = "SELECT crm.retain(%s, %s, %s) FROM crm.changes(%s, NULL, 0) WHERE epoch = %s"
            key = self._key(tenant)  # another tenant may have its name by now, whose entries are older
            await self._on.database.rows(query, (key, *starts, key, epoch), LONG_SECONDS)

    async def _months(self, _name: str) -> None:
        """Make and drop partitions, if the role owns the tables; ``crm migrate`` does the same."""
        await self._on.database.rows("SELECT crm.months()", (), LONG_SECONDS)

    async def backup(self, tenant: str, target: Path) -> None:
        async with aclosing(self.dump(tenant)) as parts:
            await write_dump(target, parts)

    async def restore(self, tenant: str, source: Path) -> None:
        await self.load(tenant, read_dump(source, lambda: token_hex(8)))

    async def dump(self, tenant: str) -> AsyncGenerator[Part, None]:
        from crm_postgresql.dump import dump

        await self._on.attempts.write(self._key(tenant))
        await self._rows("SELECT crm.seq(%s)", tenant)  # it must exist
        async with self._on.database.connection() as connection, aclosing(dump(connection, self._key(tenant))) as parts:
            async for part in parts:
                yield part

    async def load(self, tenant: str, parts: AsyncIterator[Part]) -> None:
        from crm_postgresql.dump import load

        await self._add(tenant)
        epoch = ""

        async def noted() -> AsyncIterator[Part]:
            nonlocal epoch
            async for part in parts:
                if isinstance(part, DumpHead):
                    epoch = part.epoch
                yield part

        try:
            async with self._on.database.connection() as connection:
                await load(connection, self._context.instance, tenant, noted())
        except StorageUnavailable:  # the connection may have broken after the commit
            if not (epoch and await self._is(tenant, epoch)):
                raise

    async def check(self, tenant: str) -> tuple[str, ...]:
        state = await self.state(tenant)
        return (*([state.reason] if state.reason else []), *(await self.verify(tenant)).problems)

    async def documents(self, tenant: str, collection: str) -> AsyncIterator[Document]:
        query = "SELECT * FROM crm.documents(%s, %s, %s)"
        for id_, revision, body in await self._on.database.rows(
            query, (self._key(tenant), collection, _ALL), LIST_SECONDS
        ):
            yield Document(collection, id_, revision, body.encode())

    async def scan(self, tenant: str, collection: str) -> AsyncGenerator[Sequence[bytes], None]:
        after: str | None = ""
        while after is not None:
            ((text,),) = await self._rows("SELECT crm.scan(%s, %s, %s, %s)", tenant, collection, after, _SCANNED)
            after, bodies = _scanned.decode(text)
            yield [bytes(body) for body in bodies]

"""An open backend's parts: the only module that the backend imports when it connects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.plugin.storage import StorageContext
from crm_postgresql.attempts import Attempts
from crm_postgresql.commits import Commits
from crm_postgresql.database import Database, first_line
from crm_postgresql.first_pages import FirstPages
from crm_postgresql.keys import keys_of
from crm_postgresql.limits import LONG_SECONDS, WAIT
from crm_postgresql.notices import Notices
from crm_postgresql.reads import Reads
from crm_postgresql.schema import check_role, check_version, migrate
from crm_postgresql.wire import TooSlow, Wire

# What no one waits for any more, as after its time, is ended: or calls that take too long would run in ever more
# processes of the server, however few connections the pool has. Before PostgreSQL 14 there is no such setting.
_GIVE_UP: Final = """
SELECT CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL
    THEN set_config('client_connection_check_interval', '2s', false) END"""
_UNUSABLE: Final = "The database cannot be used now."


class Connected:
    """The database with the queues over it. ``forget`` is called as by ``Notices``."""

    def __init__(self, dsn: str, pool: int, context: StorageContext, forget: Callable[[str | None], None]) -> None:
        self.database = Database(dsn, pool, self._check)
        self.reads = Reads(self.database)
        self.pages = FirstPages(self.database, self.reads)
        self.notices = Notices(self.database, forget)
        self.commits = Commits(self.database, self.notices.committed)
        self.attempts = Attempts(self.database, context.log_max_unverified, forget)
        self._context = context

    async def open(self) -> None:
        """Connect and check role and schema, now or once the database answers. Raises SetupError."""
        _require_dsn(self.database.dsn)
        try:
            await self.database.look()
        except psycopg.ProgrammingError as error:
            foreign = isinstance(error, psycopg.errors.InsufficientPrivilege)
            advice = "; connect as the role that ran crm migrate" if foreign else ""
            raise SetupError([f"storage: the database cannot be used: {first_line(error)}{advice}"]) from None
        except psycopg.Error as error:
            if self._context.migrating:
                raise SetupError([f"storage: the database cannot be reached: {first_line(error)}"]) from None
        await self.database.open()
        self.notices.start()

    async def _check(self, db: AsyncConnection[Any]) -> None:
        end = asyncio.get_running_loop().time() + WAIT
        wire = Wire(db)  # psycopg would not end a statement whose answer does not come, as behind a pooler

        async def ask(query: str) -> list[tuple[Any, ...]]:
            return await wire.execute(query, (), end)

        try:
            await check_role(ask)
            if not self._context.migrating:
                await check_version(ask)
            with suppress(psycopg.DataError):  # a server on Windows cannot look
                await ask(_GIVE_UP)
        except TooSlow:
            raise psycopg.OperationalError(f"it did not answer within {WAIT:g} seconds") from None
        finally:
            wire.leave()

    async def check_again(self) -> None:
        """Look whether another version has migrated the database, as while this process was suspended.

        Then no connection that was checked before is used again. Raises StorageUnavailable.
        """
        try:
            await check_version(self.database.rows)
        except SetupError as error:
            await self.database.drop_idle()
            raise StorageUnavailable(_UNUSABLE, retry_after=2, operator_detail=first_line(error)) from None

    async def close(self) -> None:
        """Finish what waits and disconnect."""
        await self.commits.close()
        await self.attempts.close()
        await self.notices.close()
        await self.database.close()

    async def index(self, tenant: str) -> None:
        """Index documents again that an earlier version wrote. Raises as ``Database.rows``."""
        for collection, names in await self.database.rows("SELECT * FROM crm.shapes(%s)", (tenant,)):
            compute = self._context.reindex(collection, tuple(msgspec.json.decode(names)))
            after = ""
            while compute is not None:
                query = "SELECT * FROM crm.with_shape(%s, %s, %s, %s, 500)"
                rows = await self.database.rows(query, (tenant, collection, names, after), LONG_SECONDS)
                if not rows:
                    break
                written = []
                for id_, revision, body in rows:
                    changed, indexes = compute(body.encode())
                    keys = {name: keys_of(value) for name, value in indexes.items()}
                    written.append((collection, id_, revision, changed.decode(), keys))
                text = msgspec.json.encode(written)
                await self.database.rows("SELECT crm.reindex(%s, %s)", (tenant, text), LONG_SECONDS)
                after = rows[-1][0]

    async def migrate(self) -> tuple[str, ...]:
        """Bring the schema to this version. Raises SetupError."""
        async with self.database.connection() as db:
            return await migrate(db)


def _require_dsn(dsn: str) -> None:
    """Raise SetupError if the DSN cannot be read as it was meant; without libpq's words, which quote the password."""
    try:
        found = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise SetupError([_UNREADABLE]) from None
    hosts, ports = str(found.get("host", "")), str(found.get("port", ""))
    # / and @ in the password of a URL end it, and its rest is taken for a port or a host.
    if ports.strip("0123456789,") or any("@" in host[1:] and host[0] != "/" for host in hosts.split(",")):
        raise SetupError([_UNREADABLE])


_UNREADABLE = (
    "storage: the dsn cannot be read; write postgresql://USER:PASSWORD@HOST/DATABASE, with / @ % in the password as"
    " %2F %40 %25, or pairs such as host=db dbname=crm; options have libpq's names"
)

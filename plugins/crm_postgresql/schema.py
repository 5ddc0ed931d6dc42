"""The schema's version, its migrations, and the role that the instance connects as."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors

from crm_core.errors import SetupError
from crm_postgresql.database import first_line

Ask = Callable[[str], Awaitable[list[tuple[Any, ...]]]]
"""The rows of a statement."""
_LOCK: Final = 0x63726D  # of the database's advisory locks: one migration at a time
_VERSION: Final = "SELECT version FROM crm.version"
_PROCESSES: Final = 4  # the version from which on crm.processes exists
_ALIVE: Final = "SELECT count(*) FROM crm.processes WHERE until > now()"
_ROLE: Final = "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"


def migrations() -> list[str]:
    """The statements of each migration, in order: the first leads to version 1."""
    folder = files("crm_postgresql.migrations")
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


async def version_of(ask: Ask) -> int:
    """The version of the schema; 0 if there is none."""
    if not (await ask("SELECT to_regclass('crm.version') IS NOT NULL"))[0][0]:
        return 0
    rows = await ask(_VERSION)
    return int(rows[0][0]) if rows else 0


async def check_role(ask: Ask) -> None:
    """Raise SetupError for a role that row-level security does not bind."""
    rows = await ask(_ROLE)
    if not rows or any(rows[0]):
        problem = "storage: the database's role is a superuser or has BYPASSRLS, so nothing would separate the tenants"
        raise SetupError([f"{problem}; connect as a role that has neither"])


async def check_version(ask: Ask) -> None:
    """Raise SetupError unless the schema is that of this version."""
    found, wanted = await version_of(ask), len(migrations())
    if found == 0:
        raise SetupError(["storage: the database is empty: run crm migrate"])
    if found < wanted:
        raise SetupError([f"storage: the database has schema {found}, this version needs {wanted}: run crm migrate"])
    if found > wanted:
        raise SetupError(
            [f"storage: a newer version wrote schema {found}, this one knows {wanted}: start that version"]
        )


async def migrate(db: AsyncConnection[Any]) -> tuple[str, ...]:
    """Bring the schema to this version; what was done. Raises SetupError."""
    statements, done = migrations(), []

    async def ask(query: str) -> list[tuple[Any, ...]]:
        return await (await db.execute(query)).fetchall()

    try:
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            ((encoding,),) = await ask("SHOW server_encoding")
            if encoding != "UTF8":
                raise SetupError([f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'"])
            await db.execute("CREATE SCHEMA IF NOT EXISTS crm")
            await db.execute("CREATE TABLE IF NOT EXISTS crm.version (version integer NOT NULL)")
            before = await version_of(ask)
            if before > len(statements):
                raise SetupError([f"a newer version wrote schema {before}: start that version"])
            if _PROCESSES <= before < len(statements):
                await _refuse_served(ask)
            for number, text in enumerate(statements[before:], before + 1):
                await db.execute(text)
                done.append(f"The database has schema {number} now.")
            await db.execute("DELETE FROM crm.version")
            await db.execute("INSERT INTO crm.version VALUES (%s)", (len(statements),))
            names = [name for (name,) in await ask("SELECT crm.months()")]
            if names:
                done.append(f"Partitions by month were made or dropped: {', '.join(names)}.")
    except errors.InsufficientPrivilege as error:
        advice = "connect as the role that owns the database, or as the one that made the schema crm in it"
        raise SetupError([f"the database cannot be migrated: {error.diag.message_primary}; {advice}"]) from None
    except psycopg.Error as error:
        raise SetupError([f"the database cannot be migrated: {first_line(error)}"]) from None
    return tuple(done)


async def _refuse_served(ask: Ask) -> None:
    """Raise SetupError while processes serve from the database: they are of the version before."""
    count = (await ask(_ALIVE))[0][0]
    if count:
        who = "1 process of an earlier version uses" if count == 1 else f"{count} processes of an earlier version use"
        raise SetupError([f"{who} this database: stop all first; one that was killed counts for 15 seconds"])

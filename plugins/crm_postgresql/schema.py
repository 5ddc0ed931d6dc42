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
_ALIVE: Final = "SELECT count(*) FROM crm.processes WHERE until > now()"
_ROLE: Final = "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"


def migrations() -> list[tuple[int, str]]:
    """The files of the schema in order: the version that each leads to, with which its name begins, and its SQL."""
    folder = files("crm_postgresql.migrations")
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in names]


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
    found = await version_of(ask)
    wanted = _wanted(found)
    if found < wanted:
        problem = f"has schema {found}, this version needs {wanted}" if found else "is empty"
        raise SetupError([f"storage: the database {problem}: run crm migrate"])


def _wanted(found: int) -> int:
    """The schema that this version needs. Raises SetupError if the one that was found cannot be migrated to it."""
    versions = [version for version, _ in migrations()]
    if 0 < found < versions[0]:
        advice = "run its crm migrate --to tinydb, then this version's crm migrate --to postgresql to an empty database"
        raise SetupError([f"storage: an unreleased version wrote schema {found}: {advice}"])
    if found > versions[-1]:
        problem = f"storage: a newer version wrote schema {found}, this one knows {versions[-1]}: start that version"
        raise SetupError([problem])
    return versions[-1]


async def migrate(db: AsyncConnection[Any]) -> tuple[str, ...]:
    """Bring the schema to this version; what was done. Raises SetupError."""
    done = []

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
            wanted = _wanted(before)
            if 0 < before < wanted:
                await _refuse_served(ask)
            for version, text in migrations():
                if version > before:
                    await db.execute(text)
            if before < wanted:
                done.append(f"The database has schema {wanted} now.")
            await db.execute("DELETE FROM crm.version")
            await db.execute("INSERT INTO crm.version VALUES (%s)", (wanted,))
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

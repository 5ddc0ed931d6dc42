"""Units that are written together do what the same units do one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest

from crm_core.plugin.storage import (
    Claim,
    Committed,
    Conflict,
    CountBelow,
    Delete,
    DocumentAt,
    DocumentExists,
    EntryQuery,
    IndexFree,
    PageQuery,
    StorageContext,
    Unit,
    WorkspaceAt,
)
from crm_core.testing.storage import entry, put
from crm_core.testing.storage_changes import change
from crm_postgresql.storage import PostgreSQLBackend
from crm_postgresql.units import encoded, lists
from postgresql_server import Server

IDS = [f"n{number}" for number in range(8)]
KINDS = ("nonce", "key")
_numbers = count(1)


@pytest.fixture
async def store(postgresql: Server, tmp_path: Path) -> AsyncIterator[PostgreSQLBackend]:
    store = PostgreSQLBackend()
    options = {"dsn": postgresql.migrated, "pool": 3}
    await store.open(StorageContext(tmp_path, options, instance=f"together{next(_numbers)}"))
    yield store
    await store.close()


def unit(random: Random, number: int) -> Unit:
    """A unit on few documents, which may expect, claim, release, delete and repeat things."""
    id_, other = random.choice(IDS), random.choice(IDS)
    puts = [put(id_, {"at": number}, {"k": random.choice(["x", "y", None]), "words": tuple(random.sample("abc", 2))})]
    if random.random() < 0.3:
        puts.append(put(random.choice(IDS), {"at": number}, {"k": number}))
    if random.random() < 0.05:
        puts += [put(f"many{each}", {}, {"k": each}) for each in range(random.randrange(7))]
    expectations = (
        DocumentAt("notes", id_, random.randrange(4)), DocumentExists("notes", other),
        WorkspaceAt(random.randrange(3)), IndexFree("notes", "k", "x", id_), CountBelow("notes", 7),
    )  # fmt: skip
    claims = [
        Claim(random.choice(KINDS), f"c{random.randrange(9)}", b"{}", random.choice([None, number + 5]), number, id_)
        for _ in range(random.choice([0, 0, 0, 1, 2]))
    ]
    changes = [change(each.id, change="erased" if random.random() < 0.1 else "updated") for each in puts]
    return Unit(
        now=number,
        expect=tuple(random.sample(expectations, random.choice([0, 0, 1, 2]))),
        claims=tuple(claims),
        puts=tuple(puts),
        deletes=(Delete("notes", other),) if other != id_ and random.random() < 0.2 else (),
        releases=((KINDS[0], f"c{random.randrange(9)}"),) if random.random() < 0.1 else (),
        entries=(entry(number),) if random.random() < 0.3 else (),
        changes=tuple(changes),
        revises=random.random() < 0.1,
    )


async def content(store: PostgreSQLBackend, tenant: str) -> list[Any]:
    """All that can be read of a tenant, but its epoch."""
    view = await store.view(tenant, None)
    return [
        (view.revision, view.seq, view.head),
        [document async for document in store.documents(tenant, "notes")],
        await store.count(tenant, "notes"),
        [await store.claim(tenant, kind, f"c{number}") for kind in KINDS for number in range(9)],
        (await store.changes(tenant, 0)).texts,
        [msgspec.structs.replace(each, tenant="") for each in await store.entries(tenant, EntryQuery(limit=500))],
        [
            [found.id for found in (await store.page(tenant, PageQuery(collection="notes", sort=sort))).documents]
            for sort in ("k", "words")
        ],
        (await store.verify(tenant)).problems,
    ]


@pytest.mark.parametrize("seed", range(12))
async def test_units_together_do_what_they_do_one_by_one(seed: int, store: PostgreSQLBackend) -> None:
    """The same outcomes, conflicts included, and the same tenant at the end."""
    random = Random(seed)
    units = [unit(random, number) for number in range(1, 121)]
    for tenant in ("together", "alone"):
        await store.create(tenant)
    together = []
    for first in range(0, len(units), 30):
        together += await asyncio.gather(*(store.commit("together", each) for each in units[first : first + 30]))
    alone = [await store.commit("alone", each) for each in units]
    assert together == alone
    assert {type(each) for each in alone} == {Committed, Conflict}
    assert await content(store, "together") == await content(store, "alone")


def sizes(*units: Unit) -> list[int]:
    """How many units each list has."""
    return [len(each) for each in msgspec.json.decode(lists([encoded(each) for each in units]))]


def test_units_that_touch_different_documents_are_in_one_list() -> None:
    """What reads or writes a document that one before it writes begins another, and some are written by themselves."""
    a, b = (Unit(now=1, puts=(put(id_),)) for id_ in "ab")
    reads_a = Unit(now=1, expect=(DocumentAt("notes", "a", 1),), puts=(put("c"),))
    assert sizes(a, b, Unit(now=1, expect=(WorkspaceAt(0), DocumentExists("notes", "d")), puts=(put("c"),))) == [3]
    assert sizes(a, b, a, b) == [2, 2]
    assert sizes(b, reads_a, a) == [3]
    assert sizes(a, b, reads_a) == [2, 1]
    assert sizes(a, Unit(now=1, deletes=(Delete("notes", "b"),)), b) == [2, 1]
    for alone in (
        Unit(now=1, claims=(Claim("nonce", "n", b"{}"),)),
        Unit(now=1, releases=(("nonce", "n"),)),
        Unit(now=1, expect=(IndexFree("notes", "k", "x", "c"),)),
        Unit(now=1, expect=(CountBelow("notes", 1),)),
        Unit(now=1, puts=(put("c"), put("c"))),
        Unit(now=1, changes=(change("c", change="erased"),)),
        Unit(now=1, revises=True),
    ):
        assert sizes(a, alone, b) == [1, 1, 1]


async def test_a_store_that_does_not_know_its_highest_stamp_looks_for_it(
    store: PostgreSQLBackend, postgresql: Server
) -> None:
    """It has the highest number instead: a claim at a stamp that was forgotten is refused, a later one is not."""
    await store.create("north")
    key = store._key("north")
    with psycopg.connect(postgresql.migrated, autocommit=True) as db:
        db.execute("SELECT set_config('crm.tenant', %s, false)", (key,))
        db.execute("INSERT INTO crm.forgotten VALUES (%s, 'nonce', 50)", (key,))
        db.execute("UPDATE crm.stores SET expires = NULL, forgotten = %s WHERE tenant = %s", (2**63 - 1, key))
    for stamp, outcome in ((50, Conflict), (51, Committed)):
        claim = Claim("nonce", str(stamp), b"{}", 400, stamp)
        assert isinstance(await store.commit("north", Unit(now=100, claims=(claim,))), outcome)


async def test_a_unit_that_cannot_be_stored_fails_alone(store: PostgreSQLBackend) -> None:
    """Those that came with it are committed, and the tenant counts as one that takes writes."""
    await store.create("north")
    units = [Unit(now=1, puts=(put("n1"),)), Unit(now=1, puts=(put("n\0"),)), Unit(now=1, puts=(put("n2"),))]
    found = await asyncio.gather(*(store.commit("north", each) for each in units), return_exceptions=True)
    assert [type(each) for each in found] == [Committed, ValueError, Committed]
    assert not await store.troubled()

"""How often a request asks PostgreSQL: each call is a round trip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crm_core.plugin.storage import Claim, Expectation, PageQuery, StorageContext, Unit, WorkspaceAt
from crm_core.testing.storage import put
from crm_postgresql.storage import PostgreSQLBackend
from crm_postgresql.units import encoded
from postgresql_proxy import Proxy
from postgresql_server import Server
from served import FILES, KEY, Instance, instance

_DAILY = {"months", "changes", "newest", "retain"}  # in the background
_SECTION = {"title": "Northwind", "colors": {"primary": "#0b5fff"}}


@pytest.fixture
def proxy(postgresql: Server) -> Proxy:
    return Proxy(postgresql.copy())


@pytest.fixture
async def served(tmp_path: Path, proxy: Proxy) -> AsyncIterator[Instance]:
    text = FILES["instance.yaml"].format(secret="c2VjcmV0" * 8, key=KEY.hex(), other=KEY.hex())
    files = {"instance.yaml": f"{text}storage: {{backend: postgresql, dsn: '{proxy.dsn}', pool: 2}}\n"}
    with proxy:
        async with instance(tmp_path, files) as served:
            yield served


async def test_a_push_is_one_commit(served: Instance, proxy: Proxy) -> None:
    """It is made for the workspace as it was seen last: only the first push of a process reads it."""
    for number, calls in enumerate((["shapes", "read", "commit"], ["commit"])):
        proxy.calls.clear()
        await served.push("branding", {**_SECTION, "title": f"Northwind {number}"})
        assert [name for name in proxy.calls if name not in _DAILY] == calls


async def test_a_request_reads_its_caller_and_its_record(served: Instance, proxy: Proxy) -> None:
    """The workspace is known to be the one that was seen last; a write needs nothing but its commit then."""
    async with served.client(await served.token("customers:read", "customers:write")) as client:
        first = await client.post("customers", json={"name": "Ada"})
        made = f"customers/{first.json()['id']}"
        for method, path, calls in (
            ("POST", "customers", ["read", "commit"]),
            ("GET", made, ["read", "read"]),
            ("PATCH", made, ["read", "read", "commit"]),
        ):
            proxy.calls.clear()
            answer = await client.request(method, path, json={"name": "Grace"} if method != "GET" else None)
            assert answer.is_success
            assert [name for name in proxy.calls if name not in _DAILY] == calls, (method, path)
        await served.push("branding", {**_SECTION, "title": "Newer"})
        assert (await client.get(made)).status_code == 200


async def test_a_request_of_a_user_reads_session_and_user(served: Instance, proxy: Proxy) -> None:
    """Their read has the workspace's revision; a page that was read before is read again only if it has changed."""
    token = await served.user("super_admin")
    async with served.client(token) as client:
        await client.get("customers")
        proxy.calls.clear()
        await client.get("customers")
        assert [name for name in proxy.calls if name not in _DAILY] == ["read"] * 3


@pytest.mark.parametrize(
    ("key", "expect", "waits"),
    [("new", (), "on"), ("used", (), "off"), ("new", (WorkspaceAt(7),), "off")],
    ids=["committed", "claimed", "changed"],
)
async def test_only_what_is_written_waits_for_the_disk(
    postgresql: Server, tmp_path: Path, key: str, expect: tuple[Expectation, ...], waits: str
) -> None:
    """A refusal writes nothing but its lock: a replay that a commit finds costs no sync, nor does a change."""
    store, dsn = PostgreSQLBackend(), postgresql.copy()
    await store.open(StorageContext(tmp_path, {"dsn": dsn}, instance="eu1"))
    await store.create("north")
    await store.commit("north", Unit(now=0, claims=(Claim("nonce", "used", b"{}"),)))
    await store.close()
    unit = encoded(Unit(now=0, expect=expect, claims=(Claim("nonce", key, b"{}"),))).text.decode()
    async with await psycopg.AsyncConnection.connect(dsn) as db:
        await db.execute("SELECT crm.commit('eu1/north', %s)", (unit,))
        assert await (await db.execute("SHOW synchronous_commit")).fetchone() == (waits,)


async def test_calls_that_wait_for_new_indexes_make_them_once(proxy: Proxy, tmp_path: Path) -> None:
    """After an upgrade the first requests of a tenant, however many, do not each write its documents again."""
    options = {"dsn": proxy.dsn, "pool": 5}
    with proxy:
        store = PostgreSQLBackend()
        await store.open(StorageContext(tmp_path, options, instance="eu1"))
        await store.create("north")
        await store.commit("north", Unit(now=1, puts=tuple(put(f"n{number:04}") for number in range(1100))))
        await store.close()

        def reindex(_collection: str, names: tuple[str, ...]) -> Any:
            return None if "new" in names else lambda body: (body, {"new": 1})

        await store.open(StorageContext(tmp_path, options, instance="eu1", reindex=reindex))
        proxy.calls.clear()
        found = await asyncio.gather(*(store.find("north", "notes", "new", 1) for _ in range(20)))
        assert {read.document.id for read in found if read.document is not None} == {"n0000"}
        assert [proxy.calls.count(name) for name in ("with_shape", "reindex", "find")] == [4, 3, 20]
        query = PageQuery(collection="notes", sort="new", filters=(("new", (1,)),), total=True)
        assert (await store.page("north", query)).total == 1100
        await store.close()

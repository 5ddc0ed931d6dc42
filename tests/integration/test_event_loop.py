"""No callback occupies the event loop: every path, with a large tenant behind a real server in this process.

``make loop-watch`` runs this with 200,000 customers and prints the longest callback of each path.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import shutil
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from crm_core.commands import perform
from crm_core.control.client import call
from crm_core.control.server import ControlServer
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import Unit
from crm_tinydb.storage import TinyDBBackend
from large_tenant import first_customer, multiply
from loop_watch import LoopWatch
from served import ALL, Instance, instance

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

LIMIT = 0.010  # seconds of the loop thread's CPU time
TRIES = 3  # another process may slow a callback down once; a callback that is long is long each time
PRINTS = "CRM_LOOP_CUSTOMERS" in os.environ
CUSTOMERS = int(os.environ.get("CRM_LOOP_CUSTOMERS", "10000"))
TENANTS = 10_000 if PRINTS else 1_000
ENTRIES = 6_000
FILES = {
    "instance.yaml": (
        f"instance: eu1\nlisten: 127.0.0.1:0\ntenants_dir: ../tenants\nsecret_key: base64:{'c2VjcmV0' * 8}\n"
        "sync: {unverified_per_minute: 100000, max_payload_bytes: 16777216}\n"
    )
}
T = "northwind"


class Large:
    """A served instance whose tenant ``northwind`` has many customers, log entries and neighbours."""

    def __init__(self, served: Instance, token: str, cookie: str, folder: Path) -> None:
        self.served, self.folder = served, folder
        self.headers = {"Authorization": f"Bearer {token}"}
        self.cookie = {"Cookie": f"crm_session={cookie}", "Authorization": "", "Accept": "text/html"}
        self.backend = served.services.backend
        self.numbers = iter(range(1_000_000))

    async def fetch(self, path: str, body: bytes | None = None, status: int = 200, **headers: str) -> bytes:
        """Send a request from a thread and read the whole answer."""
        address = urlsplit(self.served.url)
        sent = {**self.headers, "Content-Type": "application/json", **headers}

        def send() -> bytes:
            with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
                connection.request("GET" if body is None else "POST", f"/i/eu1/t/{T}{path}", body, sent)
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status == status, content[:500]
                return content

        return await asyncio.to_thread(send)

    async def api(self, path: str, body: bytes | None = None, status: int = 200, **headers: str) -> bytes:
        """Send a request to the API."""
        return await self.fetch(f"/api/v1/{path}", body, status, **headers)

    async def exported(self, path: str, media_type: str, least: int) -> None:
        """Read an export of the API, which must have so many lines; counted in a thread, as it is long."""
        found = [await self.api(path, Accept=media_type)]
        assert await asyncio.to_thread(lambda: found.pop().count(b"\n")) >= least

    async def push(self, payload_type: str, data: Any, status: int = 200) -> None:
        """Push data, signed in a thread."""

        def signed() -> tuple[bytes, dict[str, str]]:
            version = 1000 + next(self.numbers)
            envelope = {"tenant": T, "type": payload_type, "version": version, "data": data}
            body = json.dumps(envelope).encode()
            return body, self.served.signed(payload_type, body)

        body, headers = await asyncio.to_thread(signed)
        await self.api(f"sync/{payload_type}", body, status, **headers)

    async def close_tenant(self) -> None:
        """Close the tenant, as for one that was not used for long."""
        assert isinstance(self.backend, TinyDBBackend)
        self.backend.open_tenants.close_idle(T)
        await asyncio.wait({self.backend.open_tenants._closing[T]})
        assert self.backend.open_tenants.find_open(T) is None


def _entry(number: int) -> LogEntry:
    return LogEntry(
        id=f"01900000-0000-7000-8000-{number:012x}", received_at=f"2026-11-2{number % 8}T02:00:00.000Z",
        instance="eu1", tenant=T, request_id=f"r{number}", source_ip="192.0.2.1", payload_type="features",
        nonce=f"nonce-{number:020d}", signature_result="valid", status="applied",
    )  # fmt: skip


async def _prepared(folder: Path) -> None:
    async with instance(folder, FILES) as served:
        await served.push("features", {"plan": ALL})
        await first_customer(served.services, T)
        for first in range(0, ENTRIES, 500):
            unit = Unit(now=1_800_000_000, entries=tuple(map(_entry, range(first, first + 500))))
            await served.services.backend.commit(T, unit)
        await served.services.backend.fold(T)
    multiply(folder / "tenants" / T, CUSTOMERS)
    for number in range(TENANTS):
        shutil.copytree(folder / "tenants" / "contoso", folder / "tenants" / f"t{number}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Large]:
    """The instance, filled and opened again."""
    folder = tmp_path_factory.mktemp("large")
    await _prepared(folder)
    async with instance(folder, FILES) as served:
        token = await served.token("customers:read", "customers:write", "sync:read")
        services = served.services
        user = await services.users.create(T, {"email": "a@example.com", "name": "A", "role": "super_admin"}, None)
        cookie = services.sessions.cookie(T, await services.sessions.open(T, user, "browser"))
        control = ControlServer(services.settings.tenants_dir, lambda name, words: perform(services, name, words))
        await control.start()
        try:
            yield Large(served, token, cookie, folder)
        finally:
            await control.close()


@pytest.fixture(scope="module")
def watch() -> Iterator[LoopWatch]:
    """The watchdog; at the end the longest callback of each path is printed."""
    with LoopWatch() as watching:
        yield watching


Path_ = Callable[[Large], Awaitable[object]]


def listed(query: str) -> Path_:
    """Read a page of the API's list."""
    return lambda large: large.api(f"customers?{query}")


def shown(path: str) -> Path_:
    """Read a page of the workspace."""
    return lambda large: large.fetch(path, **large.cookie)


async def csv(large: Large) -> None:
    """Export every customer as CSV."""
    await large.exported("customers", "text/csv", CUSTOMERS)


async def ndjson(large: Large) -> None:
    """Export every customer as NDJSON."""
    await large.exported("customers?sort=name", "application/x-ndjson", CUSTOMERS)


async def opening(large: Large) -> None:
    """Open the tenant."""
    await large.close_tenant()
    await large.api("customers?limit=25")


async def folding(large: Large) -> None:
    """Fold the tenant."""
    await batch(large)
    await large.backend.fold(T)


async def backup(large: Large) -> None:
    """Back the tenant up."""
    await large.backend.backup(T, large.folder / f"{next(large.numbers)}.backup")


async def tenant_list(large: Large) -> None:
    """List the tenants, as ``crm tenant list`` does."""
    tenants = large.served.services.settings.tenants_dir

    answer = await asyncio.to_thread(call, tenants, "tenant.list", {})
    assert len(answer["tenants"]) > TENANTS


def customers(large: Large, count: int, notes: int) -> bytes:
    """The body of a batch of new customers."""
    items = {
        "items": [
            {"external_id": f"b-{next(large.numbers)}", "name": f"Batch {at}", "tags": ["a", "b"], "notes": "é" * notes,
             "email": f"b{at}@example.com", "address": {"city": "Berlin", "country": "DE"}}
            for at in range(count)
        ]
    }  # fmt: skip
    return json.dumps(items, ensure_ascii=False).encode()


async def batch(large: Large) -> None:
    """Write an atomic batch of 500."""
    body = await asyncio.to_thread(customers, large, 500, 100)
    answer = await large.api("customers/batch?atomic=true", body)
    assert len(json.loads(answer)["results"]) == 500


async def long_batch(large: Large) -> None:
    """Write a batch of nearly 8 MiB."""
    body = await asyncio.to_thread(customers, large, 500, 7_500)
    assert 7 << 20 < len(body) < 8 << 20
    await large.api("customers/batch?atomic=true", body)


async def refused_batch(large: Large) -> None:
    """Send 8 MiB in one member that may not be so long."""
    body = b'{"items":[{"name":"A","notes":"' + b"n" * ((8 << 20) - 100) + b'"}]}'
    await large.api("customers/batch?atomic=true", body, 422)


async def sync_log(large: Large) -> None:
    """Export the sync log."""
    await large.exported("sync/log", "text/csv", ENTRIES)


async def changes(large: Large) -> None:
    """Read the change log."""
    await batch(large)
    await large.backend.changes(T, 0, 500)


def large_picture() -> str:
    """A valid picture of 30 KiB that unpacks to 30 MiB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 1_048, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(30_001 * 1_048))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


async def big_push(large: Large) -> None:
    """Push the largest pictures."""
    url = await asyncio.to_thread(large_picture)
    data = {"title": "N", "logo_url": url, "logo_dark_url": url, "favicon_url": url, "sidebar": {"image_url": url}}
    await large.push("branding", data)


async def wide_push(large: Large) -> None:
    """Push features with many overrides."""
    data = {"plan": ALL, "overrides": {f"custom{at}.view": True for at in range(8_000)}}
    await large.push("features", data, 422)


async def metrics(large: Large) -> None:
    """Read the readiness, as an orchestrator does each second."""
    address = urlsplit(large.served.url)

    def send() -> int:
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status

    assert await asyncio.to_thread(send) == 200


PATHS: dict[str, Path_] = {
    "export as CSV": csv,
    "export as NDJSON": ndjson,
    "export from the workspace": shown("/customers/export.csv"),
    "open": opening,
    "fold": folding,
    "back up": backup,
    "crm tenant list": tenant_list,
    "ready": metrics,
    "atomic batch of 500": batch,
    "batch of 8 MiB": long_batch,
    "refused batch of 8 MiB": refused_batch,
    "export of the sync log": sync_log,
    "page of the sync log": lambda large: large.api("sync/log?limit=500"),
    "change log": changes,
    "push of pictures": big_push,
    "push of many members": wide_push,
    "list": listed("limit=25"),
    "list of 200": listed("limit=200"),
    "list by name, downwards": listed("limit=200&sort=-name"),
    "list with total": listed("limit=200&total=true&status=active"),
    "list with two conditions and total": listed("limit=50&total=true&status=active&q=customer"),
    "list of a common tag": listed("limit=50&total=true&tags=vip&sort=-company"),
    "list that finds nothing": listed("limit=50&total=true&status=active&tags=none"),
    "list of recent changes": listed("limit=50&total=true&updated_since=2020-01-01T00:00:00Z&sort=company"),
    "list of a range": listed("limit=200&total=true&name.gte=customer%201&name.lt=customer%203&sort=-updated_at"),
    "search": listed("limit=50&total=true&q=customer%207"),
    "search inside a number": listed("limit=50&total=true&q=1234"),
    "page of customers": shown("/customers"),
    "page of a search": shown("/customers?q=customer&sort=-company"),
    "dashboard": shown("/"),
}


@pytest.mark.parametrize("name", PATHS)
async def test_no_callback_is_long(
    large: Large, watch: LoopWatch, name: str, record_property: Callable[[str, object], None]
) -> None:
    """No callback of this path uses more than 10 ms of the event loop's thread."""
    for _ in range(TRIES):
        with watch.part() as longest:
            await PATHS[name](large)
            await asyncio.sleep(0.05)
        record_property("longest callback", str(longest))
        if PRINTS:
            sys.stdout.write(f"\n{name}: {longest}\n")
        if longest.seconds <= LIMIT:
            return
    pytest.fail(f"{longest}")

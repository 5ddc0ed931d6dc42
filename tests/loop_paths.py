"""The paths of a server with a large tenant, each of which the test of the event loop drives."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import re
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crm_core.control.client import call
from crm_tinydb.storage import TinyDBBackend
from served import ALL, Instance

CUSTOMERS = int(os.environ.get("CRM_LOOP_CUSTOMERS", "10000"))
TENANTS = 10_000 if "CRM_LOOP_CUSTOMERS" in os.environ else 1_000
ENTRIES = 6_000
T = "northwind"


class Large:
    """A served instance whose tenant ``northwind`` has many customers, log entries and neighbours."""

    def __init__(self, served: Instance, token: str, cookie: str, folder: Path) -> None:
        self.served, self.folder = served, folder
        self.headers = {"Authorization": f"Bearer {token}"}
        self.cookie = {"Cookie": f"crm_session={cookie}", "Authorization": "", "Accept": "text/html"}
        self.backend = served.services.backend
        self.numbers = iter(range(1_000_000))
        self.locales = iter(["ja-JP", "pl-PL", "ar-EG", "de-CH", "fr-CA", "ru-RU"])

    async def fetch(self, path: str, body: bytes | None = None, status: int = 200, **headers: str) -> bytes:
        """Send a request from a thread and read the whole answer."""
        address = urlsplit(self.served.url)
        sent = {**self.headers, "Content-Type": "application/json", **headers}

        def send() -> bytes:
            with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=600)) as connection:
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


Path_ = Callable[[Large], Awaitable[object]]


def listed(query: str) -> Path_:
    """Read a page of the API's list."""
    return lambda large: large.api(f"customers?{query}")


def shown(path: str) -> Path_:
    """Read a page of the workspace."""
    return lambda large: large.fetch(path, **large.cookie)


def cold(path: str) -> Path_:
    """Read a page of the workspace as after a start: its figures are read from the store."""

    async def show(large: Large) -> None:
        large.served.services.records.figures._tables.clear()
        await large.fetch(path, **large.cookie)

    return show


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


async def documents(large: Large) -> None:
    """Go through every customer, as doctor and erasing do."""
    found = [None async for _ in large.backend.documents(T, "records:customers")]
    assert len(found) >= CUSTOMERS


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


def people(count: int) -> str:
    """A CSV file of customers, a tenth of which is refused; the others differ with each call."""
    rows = [
        f"p{at},Person {at},p{at}@example.com,{'unknown' if at % 10 == 0 else 'lead'},vip,Notes {at}\n"
        for at in range(count)
    ]
    return "external_id,name,email,status,tags,notes\n" + "".join(rows)


def imported(action: str, count: int) -> Path_:
    """Send the form of an import."""

    async def send(large: Large) -> None:
        page = (await large.fetch("/customers", **large.cookie)).decode()

        def form() -> bytes:
            csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[-1]
            parts = {"csrf": csrf, "csv": people(count), "key": "external_id"}
            text = "".join(
                f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                for name, value in parts.items()
            )
            return f"{text}--edge--\r\n".encode()

        body = await asyncio.to_thread(form)
        headers = {"Content-Type": "multipart/form-data; boundary=edge", "Origin": large.served.url.rstrip("/")}
        answer = await large.fetch(action, body, **large.cookie, **headers)
        assert b"refused" in answer

    return send


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


async def longest_push(large: Large) -> None:
    """Push features with tens of thousands of errors."""
    data = {"plan": ALL, "overrides": {f"custom{at}.view": True for at in range(60_000)}}
    await large.push("features", data, 422)


async def nested(large: Large) -> None:
    """Send a batch of many empty lists, which all are freed."""
    await large.api("customers/batch", b'{"items":[' + b"[]," * 2_700_000 + b"[]]}", 422)


async def another_locale(large: Large) -> None:
    """Open a page in a locale that was not read before."""
    await large.push("workspace", {"locale": next(large.locales)})
    await large.fetch("/customers", **large.cookie)


async def pipelined(large: Large) -> None:
    """Send 2,000 requests in one write, and read all answers."""
    address = urlsplit(large.served.url)
    head = f"GET /healthz HTTP/1.1\r\nHost: {address.netloc}\r\n"

    def send() -> int:
        with socket.create_connection((address.hostname or "", address.port or 80), timeout=60) as connection:
            connection.sendall((f"{head}\r\n" * 2_000 + f"{head}Connection: close\r\n\r\n").encode())
            received = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        return received.count(b"HTTP/1.1 200")

    assert await asyncio.to_thread(send) == 2_001


async def metrics(large: Large) -> None:
    """Read the readiness, as an orchestrator does each second."""
    address = urlsplit(large.served.url)

    def send() -> int:
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=600)) as connection:
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
    "all documents": documents,
    "crm tenant list": tenant_list,
    "ready": metrics,
    "atomic batch of 500": batch,
    "batch of 8 MiB": long_batch,
    "refused batch of 8 MiB": refused_batch,
    "export of the sync log": sync_log,
    "page of the sync log": lambda large: large.api("sync/log?limit=500"),
    "change log": changes,
    "preview of an import": imported("/customers/import", 5_000),
    "import": imported("/customers/import/run", 5_000),
    "push of pictures": big_push,
    "push of many members": wide_push,
    "push with very many errors": longest_push,
    "batch of many lists": nested,
    "pipelined requests": pipelined,
    "page in another locale": another_locale,
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
    "dashboard after a start": cold("/"),
    "board after a start": cold("/deals/board"),
    "reports after a start": cold("/reports"),
    "board": shown("/deals/board"),
    "board of a search": shown("/deals/board?q=customer&owner=a@example.com"),
    "reports": shown("/reports"),
}

"""The two roads to API and pages, past the framework and through it, give the same answers byte for byte."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from served import ALL, FILES, Instance, instance

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
BASE = "/i/eu1/t/northwind/api/v1"
JSON = {"Content-Type": "application/json"}
CUSTOMER: dict[str, Any] = {"name": "Ada Lovelace", "email": "ada@example.com", "external_id": "x-1"}
PASSWORD = "correct horse battery"
ORIGIN = "https://app.example.com"
SETTINGS = FILES["instance.yaml"].format(secret="c2VjcmV0" * 8) + f"allowed_origins: [{ORIGIN}]\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def raw(target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None) -> bytes:
    """A request as its bytes."""
    fields = {"Host": "crm.example.com", "Connection": "close", **(headers or {})}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunked(target: str, fields: Mapping[str, str], *parts: bytes) -> bytes:
    """A POST whose body comes in chunks."""
    head = raw(target, "POST", fields).removesuffix(b"\r\n") + CHUNKED + b"\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Requests:
    """Ordinary and hostile requests, for an instance that has a token, a user and a record."""

    def __init__(self, live: Instance, token: str, cookie: str, record: str) -> None:
        self.live = live
        self.auth = {"Authorization": f"Bearer {token}"}
        self.cookie = {"Cookie": f"a=1; crm_session={cookie}"}
        self.record = f"{BASE}/customers/{record}"

    def all(self) -> list[bytes]:
        """Every request, in order: later ones see what earlier ones changed."""
        return [*self.addresses(), *self.reads(), *self.writes(), *self.pushes(), *self.sign_ins(), *self.pages()]

    def addresses(self) -> list[bytes]:
        """Paths that exist, that do not, and that have two readings; methods that no operation has."""
        tenants = "/i/eu1/t"
        paths = [
            "/healthz", "/healthz?x=1", "/readyz", "/openapi.json", "/docs", "/docs.css", "/-/plugins",
            "/-/plugins?x=1", "/nowhere", "/", BASE, f"{BASE}/", f"{BASE}/nowhere", f"{BASE}/customers/",
            f"{tenants}/northwind/api", f"{tenants}/northwind/api/", f"{tenants}/northwind/api/v2/customers",
            f"{tenants}/nowhere/api/v1/customers", f"{tenants}/northwind/%61pi/v1/users", "/i/eu2/t/x/api/v1/customers",
            f"/{BASE}/customers", f"{tenants}/northwind//api/v1/customers", f"{tenants}/northwind/api//v1",
            f"{BASE}/customers/..", f"{BASE}/%2e%2e/customers", f"{BASE}/customers%2fbatch", f"{BASE}/customers/%00",
            f"{BASE}/customers/%ff", f"{BASE}/customers/%", f"{BASE}/customers/a%5cb", f"{BASE}/customers/%C3%A9",
            "/api/v1/customers", "/t/northwind/api/v1/users", f"{tenants}/northwind/v1/customers", "/eu1/t/x/v1",
            "/i/eu1/openapi.json", "/i/eu1/docs/errors", "/i/eu2/docs", "/i/eu1/docs/x", f"{BASE}/customers/\xe9",
            f"http://crm.example.com{BASE}/bootstrap/public", f"{BASE}/bootstrap/public?x=%",
        ]  # fmt: skip
        found = [raw(path, headers=self.auth) for path in paths]
        found += [
            raw(path, method, self.auth)
            for method in ("HEAD", "OPTIONS", "DELETE", "PUT", "TRACE", "PROPFIND")
            for path in ("/healthz", f"{BASE}/customers", f"{BASE}/customers/batch", f"{BASE}/events", "/nowhere")
        ]
        return [
            *found,
            f"GET {BASE}/bootstrap/public HTTP/1.0\r\n\r\n".encode(),
            raw(f"{BASE}/users", "OPTIONS", {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}),
            raw(f"{BASE}/users/x", "OPTIONS", {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}),
            raw(f"{BASE}/users", headers={"Origin": ORIGIN, "Authorization": "Bearer crm_none"}),
            raw(f"{BASE}/bootstrap/public", headers={"Host": "a b"}),
            raw(f"{BASE}/bootstrap/public", headers={"Host": "[::1"}),
            raw(f"{BASE}/bootstrap/public", headers={"Host": ""}),
            raw(f"{BASE}/bootstrap/public", headers={"X-Request-Id": "mine", "X-Forwarded-Proto": "https"}),
            raw(f"{BASE}/bootstrap/public", headers={"Cookie": '"\\;=;;crm_session', "X-Long": "x" * 6000}),
        ]

    def reads(self) -> list[bytes]:
        """Records, lists, exports, bootstrap, the log and an event stream."""
        listed, auth = f"{BASE}/customers", self.auth
        found = [raw(self.record, headers=auth), raw(self.record), raw(self.record, headers=self.cookie)]
        queries = ("limit=1&total=true", "limit=0", "x=1", "q=a&q=b", "q=%ff", "q=%00", "cursor=x", "sort=%26")
        found += [raw(f"{listed}?{query}", headers=auth) for query in queries]
        for accept in ("text/csv", "application/x-ndjson", "text/*;q=0.5, */*;q=0.1", "image/png", "", "*/*;q=x"):
            found += [raw(listed, method, {**auth, "Accept": accept}) for method in ("GET", "HEAD")]
            found.append(raw(f"{BASE}/sync/log", headers={**self.cookie, "Accept": accept, "Accept-Encoding": "gzip"}))
        for path in ("bootstrap", "bootstrap/public", "customers/nothing", "sync/health", "sync/health?x=1", "users"):
            found.append(raw(f"{BASE}/{path}", headers={**auth, "If-None-Match": "*"}))
        for sent in ("Basic eDp5", "Bearer", "Bearer crm_none", "bearer  x.y.z", "Bearer \xff"):
            found.append(raw(f"{BASE}/bootstrap", headers={"Authorization": sent}))
        found += [raw(f"{BASE}/events", headers={**auth, "Last-Event-ID": "x"}), raw(f"{BASE}/events", headers=auth)]
        return found

    def writes(self) -> list[bytes]:
        """Creates, updates, batches, and bodies that are none."""
        listed, auth, body = f"{BASE}/customers", {**self.auth, **JSON}, json.dumps(CUSTOMER).encode()
        once = {**auth, "Idempotency-Key": "k-1"}
        found = [raw(listed, "POST", once, body), raw(listed, "POST", once, body), raw(listed, "POST", once, b"{}")]
        broken = (b"", b"{", b'{"a":1,"a":2}', b"\xff", b"[" * 40, b"NaN", b"{}x", b'{"name":7,"x":1}', b"null")
        found += [raw(listed, "POST", auth, each) for each in broken]
        kinds = ("text/plain", "application/json; charset=latin-1", 'application/json; charset="utf-8"', "")
        found += [raw(listed, "POST", {**self.auth, "Content-Type": kind}, body) for kind in kinds]
        return [
            *found,
            raw(listed, "POST", {**auth, "Content-Encoding": "gzip"}, body),
            raw(listed, "POST", auth, b" " * (256 * 1024 + 1)),
            chunked(listed, auth, b'{"name":', b'"Grace"}'),
            chunked(listed, auth, *[b" " * 65536] * 5),
            raw(listed, "POST", {**self.cookie, **JSON}, body),
            raw(listed, "POST", {**auth, "Expect": "100-continue"}, body),
            raw(self.record, "PATCH", {**auth, "If-Match": '"no"'}, b"{}"),
            raw(self.record, "PATCH", {**self.auth, "Content-Type": "application/merge-patch+json"}, b'{"phone":"1"}'),
            raw(f"{listed}/external/x-9", "PUT", auth, b'{"name":"Nine"}'),
            raw(f"{listed}/external/x-9", "PUT", auth, b'{"name":"Ten"}'),
            raw(f"{listed}/batch?atomic=maybe", "POST", auth, b"{}"),
            raw(f"{listed}/batch", "POST", auth, json.dumps({"items": [CUSTOMER, {"name": 1}]}).encode()),
            raw(f"{BASE}/settings/smtp/test", "POST", auth),
        ]

    def pushes(self) -> list[bytes]:
        """Signed requests that are good, that are not, and for a tenant that does not exist."""
        found = []
        for name, version in (("branding", 1), ("branding", 1), ("nothing", 2)):
            sent = {"tenant": "northwind", "type": name, "version": version, "data": {"title": "Northwind"}}
            body = json.dumps(sent).encode()
            signed = self.live.signed(name, body)
            found += [raw(f"{BASE}/sync/{name}", "POST", signed, body)] * 2
            found.append(raw(f"{BASE}/sync/{name}", "POST", signed, body + b" "))
            found.append(raw(f"{BASE}/sync/{name}?x=1", "POST", signed, body))
            found.append(raw(f"/i/eu1/t/nowhere/api/v1/sync/{name}", "POST", signed, body))
            found.append(chunked(f"{BASE}/sync/{name}", self.live.signed(name, body), body[:9], body[9:]))
        return [
            *found,
            raw(f"{BASE}/sync/branding", "POST", JSON, b"{}"),
            raw(f"{BASE}/sync/branding", "POST", {**JSON, "Content-Length": "999999"}),
            chunked(f"{BASE}/sync/branding", JSON, *[b" " * 65536] * 5),
            raw(f"{BASE}/sync/health", headers={**self.live.signed("health", b"")}),
            raw(f"{BASE}/sync/history/branding", headers=self.cookie),
            raw(f"{BASE}/sync/history/branding/1/restore?preview=true", "POST", self.cookie),
        ]

    def sign_ins(self) -> list[bytes]:
        """Logins, and requests with a session's cookie."""
        found = []
        for password in (PASSWORD, "wrong"):
            sent = {"email": "ada@example.com", "password": password}
            found.append(raw(f"{BASE}/auth/login", "POST", JSON, json.dumps(sent).encode()))
        found += [raw(f"{BASE}/auth/refresh", "POST", JSON, b'{"refresh_token":"x"}')]
        found += [raw(f"{BASE}/users?limit=1", headers=self.cookie), raw(f"{BASE}/users", "POST", self.cookie, b"x")]
        forged = {**self.cookie, "Origin": "http://crm.example.com", "X-CSRF-Token": "x"}
        return [*found, raw(f"{BASE}/auth/logout", "POST", self.auth), raw(f"{BASE}/auth/logout", "POST", forged)]

    def pages(self) -> list[bytes]:
        """Pages and their files with and without a session, forms that are refused, whole and in parts, and exports."""
        root, html, sheet = "/i/eu1/t/northwind", {"Accept": "text/html"}, "/i/eu1/static/x/workspace.css"
        paths = ["", "/", "/customers", "/customers?cursor=x", "/customers/export.csv", "/users/", "/login", "/nowhere"]
        paths += [
            "/settings/theme/x",
            "/a/b/c/d",
            "/customers/new",
            "/customers/%C3%A9",
            "/customers?q=%ff",
            "/sync/board",
        ]
        found = [raw(root + path, headers=fields | html) for path in paths for fields in ({}, self.cookie)]
        found += [raw(root + path, headers=self.auth) for path in paths]
        found += [raw(root + path, "HEAD", self.cookie) for path in paths]
        found += [
            raw(root + "/customers", method, self.cookie | html) for method in ("OPTIONS", "POST", "PUT", "TRACE")
        ]
        found += [raw(sheet), raw(sheet, "HEAD", {"Accept-Encoding": "gzip"}), raw("/i/eu2/static/x/workspace.css")]
        form, ours = {"Content-Type": "application/x-www-form-urlencoded"}, {"Origin": "http://crm.example.com"}
        for fields in (self.cookie, self.cookie | ours, ours):
            found.append(raw(f"{root}/customers/new", "POST", form | fields, b"name=Ada&csrf=x"))
            found.append(chunked(f"{root}/customers/new", form | fields, b"name=", b"Ada&csrf=x"))
        parts = {"Content-Type": "multipart/form-data; boundary=b"}
        found.append(raw(f"{root}/customers/import", "POST", parts | self.cookie | ours, b"--b\r\nx"))
        return [*found, raw(f"{root}/login", "POST", JSON, b"{}")]


async def exchange(port: int, sent: bytes) -> bytes:
    """All that comes back for a request, but the date; of an event stream what comes until its first event.

    An event's id names the store's epoch, which is another one in each instance; the form to sign in has a random
    cookie, and its token.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = b""
    async with asyncio.timeout(20):
        while part := await reader.read(65536):
            received += part
            if b"event: ready" in received:
                break
    writer.close()
    return re.sub(
        rb"date: [^\r]*\r\n|(?<=\nid: )\S+|(?<=crm_door=)[^;]+|(?<=name=\"csrf\" value=\")[^\"]+", b"", received
    )


async def answers(folder: Path, *, through_framework: bool) -> list[tuple[bytes, bytes]]:
    """Each request with its answer, from a fresh instance with a fixed clock and seeded ids."""
    folder.mkdir()
    fixed: dict[str, Any] = {"now": lambda: NOW, "random": Random(7), "through_framework": through_framework}
    async with instance(folder, {"instance.yaml": SETTINGS}, **fixed) as live:
        services = live.services
        await live.push("features", {"plan": ALL})
        data = {"email": "ada@example.com", "name": "Ada", "role": "admin", "password": PASSWORD}
        user = await services.users.create("northwind", data, None)
        session = await services.sessions.open("northwind", user, "browser")
        token = await live.token()
        async with live.client(token) as client:
            record = (await client.post("customers", json={"name": "Grace"})).json()["id"]
        requests = Requests(live, token, services.sessions.cookie("northwind", session), record).all()
        port = int(live.url.rpartition(":")[2])
        return [(sent, await exchange(port, sent)) for sent in requests]


@pytest.mark.timeout(300)
async def test_both_roads_give_the_same_answers(tmp_path: Path) -> None:
    """Status, header fields and body of ordinary and hostile requests; clock and ids are given."""
    direct = await answers(tmp_path / "direct", through_framework=False)
    through = await answers(tmp_path / "framework", through_framework=True)
    assert len({answer.split(b" ", 2)[1] for _, answer in direct}) > 12  # statuses: the list is not all of one kind
    for (sent, one), (_, other) in zip(direct, through, strict=True):
        assert one == other, sent[:300]

"""A download or an import that has begun ends with the credential that began it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from contract.box import TENANT, Box
from crm_core.model.ids import Ids
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import StorageContext, Unit
from crm_tinydb.storage import TinyDBBackend
from visitor import EVERYTHING, Visitor, with_users

MANY, LONG = 2500, 9000  # more than the buffers of two sockets
ROWS = 5000


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """An instance with records, and a sync log, of 20 MB each."""
    made = with_users(Box(tmp_path_factory.mktemp("box")).create_tenants())
    asyncio.run(fill_log(made))
    made.start()
    made.applied("features", EVERYTHING)
    headers = made.bearer("customers:write")
    for start in range(0, MANY, 500):
        items = [{"name": f"n{number}", "notes": "x" * LONG} for number in range(start, start + 500)]
        done = made.client.post(f"{made.base()}/customers/batch", json={"items": items}, headers=headers)
        assert {each["status"] for each in done.json()["results"]} == {201}
    try:
        yield made
    finally:
        assert made.stop() == 0


async def fill_log(box: Box) -> None:
    """Write log entries, as attempts do."""
    backend, ids = TinyDBBackend(), Ids(lambda: datetime.now(UTC))
    await backend.open(StorageContext(box.folder / "tenants", instance="eu1"))
    for _ in range(0, MANY, 500):
        entries = tuple(
            LogEntry(
                id=ids.new(), received_at="2026-11-24T02:00:00.000Z", instance="eu1", tenant=TENANT, status="rejected",
                signature_result="invalid", request_id=ids.new(), error_message="x" * LONG,
            )
            for _ in range(500)
        )  # fmt: skip
        await backend.commit(TENANT, Unit(now=1, entries=entries))
    await backend.close()


class SlowReader:
    """A client that has read the head of an answer, and not much more."""

    def __init__(self, box: Box, path: str, *fields: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", box.port))
        self._socket.sendall("\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode())
        self._received = self._socket.recv(1000)
        assert self._received.startswith(b"HTTP/1.1 200"), self._received
        time.sleep(0.2)

    def is_cut_off(self) -> bool:
        """Whether the rest is not complete, and does not seem to be: it has no last chunk (RFC 9112, section 7.1).

        A chunk that is a line of CSV ends with two line ends as well, and maybe with a 0 before them.
        """
        with self._socket:
            while part := self._socket.recv(1 << 20):
                self._received += part
        return self._received.count(b"x" * LONG) < MANY and not self._received.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/csv"])
@pytest.mark.parametrize(("path", "scope"), [("customers", "customers:read"), ("sync/log", "sync:read")])
def test_a_revoked_token_ends_its_export(box: Box, path: str, scope: str, kind: str) -> None:
    """A slow reader gets what was on its way, and the answer is cut off, so that it does not seem complete."""
    token = json.loads(box.crm("token", "create", "--tenant", TENANT, "--scope", scope, "--json"))
    bearer = f"Authorization: Bearer {token['token']}"
    reader = SlowReader(box, f"{box.base()}/{path}", f"Accept: {kind}", bearer)
    box.crm("token", "revoke", "--tenant", TENANT, token["id"])
    assert reader.is_cut_off()


@pytest.mark.parametrize(("path", "role"), [("/customers/export.csv", "manager"), ("/sync/log.csv", "admin")])
def test_a_disabled_user_ends_their_download(box: Box, path: str, role: str) -> None:
    """The download of a page ends as an export of the API does."""
    with Visitor(box, role) as visitor:
        cookies = "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())
    reader = SlowReader(box, visitor.root + path, f"Cookie: {cookies}")
    box.crm("user", "disable", visitor.email, "--tenant", TENANT)
    try:
        assert reader.is_cut_off()
    finally:
        box.crm("user", "disable", visitor.email, "--tenant", TENANT, "--undo")


def test_a_disabled_user_ends_their_import(box: Box) -> None:
    """Rows that are written stay, no further ones are, and the result says how many and why."""
    text = "\n".join(["name", *(f"Imported {number}" for number in range(ROWS))])
    with Visitor(box, "agent") as visitor:
        fields = {"csrf": visitor.csrf("/customers"), "csv": text}
        headers = {"Accept": "application/x-ndjson", "Origin": visitor.origin}
        path = f"{visitor.root}/customers/import/run"
        with visitor.client.stream("POST", path, data=fields, headers=headers) as answer:
            lines = answer.iter_lines()
            assert "Importing: 100 of" in next(lines)
            box.crm("user", "disable", visitor.email, "--tenant", TENANT)
            last = json.loads(list(lines)[-1])["html"]
    box.crm("user", "disable", visitor.email, "--tenant", TENANT, "--undo")
    created, refused = re.findall(r"([0-9,]+) customers created, 0 updated, ([0-9,]+) refused\.", last)[0]
    counts = [int(each.replace(",", "")) for each in (created, refused)]
    assert sum(counts) == ROWS
    assert counts[1] > 0
    found = box.client.get(
        f"{box.base()}/customers?q=imported&total=true&limit=1", headers=box.bearer("customers:read")
    )
    assert found.json()["total"] == counts[0]

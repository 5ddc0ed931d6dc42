"""A download that has begun ends with the credential that began it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.box import TENANT, Box

RECORDS, LONG = 2500, 9000  # more than the buffers of two sockets


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """An instance with records of 20 MB in all."""
    made = Box(tmp_path / "box").create_tenants().start()
    headers = made.bearer("customers:write")
    for start in range(0, RECORDS, 500):
        items = [{"name": f"n{number}", "notes": "x" * LONG} for number in range(start, start + 500)]
        done = made.client.post(f"{made.base()}/customers/batch", json={"items": items}, headers=headers)
        assert {each["status"] for each in done.json()["results"]} == {201}
    try:
        yield made
    finally:
        assert made.stop() == 0


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/csv"])
def test_a_revoked_token_ends_its_export(box: Box, kind: str) -> None:
    """A slow reader gets what was on its way, and the answer is cut off, so that it does not seem complete."""
    created = box.crm("token", "create", "--tenant", TENANT, "--scope", "customers:read", "--json")
    token = json.loads(created)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", box.port))
        lines = [
            f"GET {box.base()}/customers HTTP/1.1",
            "Host: localhost",
            f"Accept: {kind}",
            f"Authorization: Bearer {token['token']}",
        ]
        reader.sendall("\r\n".join([*lines, "", ""]).encode())
        received = reader.recv(1000)
        assert received.startswith(b"HTTP/1.1 200")
        time.sleep(0.2)
        box.crm("token", "revoke", "--tenant", TENANT, token["id"])
        while part := reader.recv(1 << 20):
            received += part
    assert received.count(b"x" * LONG) < RECORDS
    assert not received.endswith(b"0\r\n\r\n")

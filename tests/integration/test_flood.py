"""Concurrent requests: twins over open sockets, and a flood during which the platform's push is applied."""

from __future__ import annotations

import json
import re
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from contract.box import BRANDING, Box, good, problem, roster_key

TWINS = 50
FLOOD = 5_000
_BATCH, _CONNECTIONS = 100, 20


@pytest.fixture
def box(tmp_path: Path) -> Any:
    """An instance with the usual limit of unverified attempts."""
    box = Box(tmp_path / "instance", settings={"sync": {"unverified_per_minute": 60}}).create_tenants().start()
    yield box
    box.stop()


def request(box: Box, body: bytes, headers: dict[str, str]) -> bytes:
    """A push as bytes on the wire."""
    fields = {"Host": "crm", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {box.base()}/sync/branding HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))  # type: ignore[union-attr]
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1]), json.loads(body)


def test_of_fifty_twins_released_together_one_is_applied(box: Box) -> None:
    """The others are refused and logged, the revision grows by one; after kill -9 it is still a replay."""
    box.applied("branding", BRANDING)
    revision = box.health()["sections"]["branding"]["revision"]
    body = box.body("branding", {"title": "twin"})
    headers = box.sign("branding", body)
    wire = request(box, body, headers)
    connections = [socket.create_connection(("127.0.0.1", box.port), 20) for _ in range(TWINS)]
    for connection in connections:
        connection.sendall(wire[:-1])
    time.sleep(0.2)  # all wait for their last byte
    for connection in connections:
        connection.sendall(wire[-1:])
    answers = [answer(connection) for connection in connections]
    for connection in connections:
        connection.close()
    assert Counter(status for status, _ in answers) == {200: 1, 409: TWINS - 1}
    (applied,) = [body for status, body in answers if status == 200]
    refused = [body for status, body in answers if status == 409]
    assert {each["code"] for each in refused} == {"replayed_nonce"}
    assert {each["original"]["request_id"] for each in refused} == {applied["request_id"]}
    assert applied["revision"] == revision + 1 == box.health()["sections"]["branding"]["revision"]
    entries = good(box.get("sync/log", nonce=headers["Sync-Nonce"], limit="500"))["items"]
    assert {entry["request_id"] for entry in entries} == {body["request_id"] for _, body in answers}
    assert len(entries) == TWINS
    box.stop(signal.SIGKILL)
    box.start()
    replay = problem(box.push("branding", raw=body, headers=dict(headers)), 409, "replayed_nonce")
    assert replay["original"]["request_id"] == applied["request_id"]


def test_concurrent_pushes_of_all_sections_equal_some_order(box: Box) -> None:
    """Versions that race are applied or stale; each applied one is a revision, and the last one is current."""
    bodies = [box.body("branding", {"title": f"V{version}"}, version=version) for version in range(1, 31)]
    results: list[Any] = []

    def push(body: bytes) -> None:
        with socket.create_connection(("127.0.0.1", box.port), 20) as connection:
            connection.sendall(request(box, body, box.sign("branding", body)))
            results.append(answer(connection))

    threads = [threading.Thread(target=push, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    applied = [one for status, one in results if status == 200]
    assert {one["code"] for status, one in results if status != 200} <= {"stale_version"}
    assert sorted(one["revision"] for one in applied) == list(range(1, len(applied) + 1))
    by_revision = sorted(applied, key=lambda one: one["revision"])
    assert [one["version"] for one in by_revision] == sorted(one["version"] for one in by_revision)
    assert box.public()["branding"]["title"] == f"V{by_revision[-1]['version']}" == "V30"


def pour(box: Box, wire: bytes, count: int, statuses: Counter[bytes]) -> None:
    """Send a request many times over one connection, in batches, and count the answers."""
    with socket.create_connection(("127.0.0.1", box.port), 60) as connection:
        for _ in range(count // _BATCH):
            connection.sendall(wire * _BATCH)
            seen, rest = 0, b""
            while seen < _BATCH:
                rest += connection.recv(1 << 20)
                found = re.findall(rb"HTTP/1\.1 (\d{3})", rest)
                statuses.update(found)
                seen += len(found)
                rest = rest[-12:] if not rest.endswith(b"HTTP/1.1 ") else b"HTTP/1.1 "
                rest = rest if not re.search(rb"HTTP/1\.1 \d{3}", rest) else b""


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def memory(box: Box) -> int:
    """Resident bytes of the server."""
    assert box.process is not None
    status = Path(f"/proc/{box.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_a_flood_grows_nothing_and_locks_no_one_out(box: Box) -> None:
    """5,000 unsigned pushes and 5,000 replays; in their midst, from the same address, the platform is served."""
    body = box.body("branding", BRANDING)
    signed = box.sign("branding", body)
    box.applied("branding", None, raw=body, headers=dict(signed))
    unsigned = request(box, body, {"Content-Type": "application/json"})
    replay = request(box, body, signed)
    statuses: Counter[bytes] = Counter()
    pour(box, unsigned, 500, Counter())
    pour(box, replay, 500, Counter())
    time.sleep(1.2)  # what was noted reaches the disk
    before, bytes_before = memory(box), size(box.folder / "tenants")
    each = 2 * FLOOD // _CONNECTIONS
    floods = [
        threading.Thread(target=pour, args=(box, wire, each, statuses))
        for wire in (unsigned, replay) * (_CONNECTIONS // 2)
    ]
    for flood in floods:
        flood.start()
    applied = []
    while any(flood.is_alive() for flood in floods):
        applied.append(box.applied("branding", {"title": secrets.token_hex(8)}))
        time.sleep(0.1)
    for flood in floods:
        flood.join()
    assert applied
    assert statuses.total() == 2 * FLOOD
    assert statuses.keys() <= {b"401", b"409", b"429"}
    assert statuses[b"429"] > FLOOD
    time.sleep(1.2)
    pushes = len(applied) * 4096  # what the platform's own pushes may take
    assert size(box.folder / "tenants") - bytes_before < 1_000_000 + pushes
    assert memory(box) - before < 20_000_000
    entries = good(box.get("sync/log", error_code="rate_limited", limit="500"))["items"]
    assert sum(entry["count"] for entry in entries) >= 2 * FLOOD - 200
    assert len(entries) < 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_an_idle_server_with_ten_tenants_is_small(tmp_path: Path) -> None:
    """Under 90 MB, with a workspace in each."""
    names = [f"tenant-{n}" for n in range(10)]
    box = Box(tmp_path / "instance", tenants={name: {"keys": [roster_key(name)]} for name in names})
    box.create_tenants().start()
    try:
        for name in names:
            box.applied("branding", BRANDING, tenant=name)
        assert memory(box) < 90_000_000
    finally:
        box.stop()

"""``crm serve --processes``: one instance served by several processes."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from contract.box import BRANDING, TENANT, Box, until
from crm_postgresql.schema import migrations

PASSWORD = "correct horse battery"
SHARED = Path(__file__).parents[1] / "shared_storage.py"


@pytest.fixture(scope="module", params=["shared", "postgresql"])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """An instance in three processes on one store: SQLite, which needs no server, and PostgreSQL."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "lone").mkdir()
    settings: dict[str, Any] = {"plugins": {"folders": [str(folder / "lone")]}}
    if request.param == "shared":
        (folder / "lone" / SHARED.name).symlink_to(SHARED)
        settings["storage"] = {"backend": "shared"}
    else:
        dsn = request.getfixturevalue("postgresql").fresh()
        settings["storage"] = {"backend": "postgresql", "dsn": dsn, "pool": 5}
    box = Box(folder / "instance", settings=settings)
    if request.param == "postgresql":
        assert "run crm migrate" in box.crm("serve", code=1)
        assert f"schema {migrations()[-1][0]}" in box.crm("migrate")
    box.options = ("--processes", "3")
    box.create_tenants().start()
    yield box
    assert box.stop() == 0


def ask(box: Box, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """The answer on a new connection, from the process that accepts it."""
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    with closing(HTTPConnection("127.0.0.1", box.port, timeout=30)) as connection:
        connection.request(method, path, raw, sent)
        answer = connection.getresponse()
        text = answer.read()
    return answer.status, json.loads(text) if "json" in (answer.headers["Content-Type"] or "") else text.decode()


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The outcomes of work that is done so many times, from several threads."""
    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(work, range(count)))


def workers(box: Box) -> list[int]:
    """The pids of the processes that serve."""
    assert box.process is not None
    return [int(pid) for pid in Path(f"/proc/{box.process.pid}/task/{box.process.pid}/children").read_text().split()]


def test_files_belong_to_one_process(tmp_path: Path) -> None:
    """On a backend that processes cannot share, several are wrong usage, with the reason in one sentence."""
    said = Box(tmp_path / "instance").crm("serve", "--processes", "2", code=2)
    assert "--processes needs a storage backend that processes can share; tinydb belongs to one process." in said


def test_of_many_identical_pushes_one_is_applied(box: Box) -> None:
    """Over all processes; the next request on any process sees the new state, and the log has every one."""
    raw = box.body("branding", BRANDING)
    headers = box.sign("branding", raw)
    done = together(50, lambda _: ask(box, "POST", f"{box.base()}/sync/branding", raw, headers))
    assert Counter(answer[1].get("status", 0) for answer in done) == {"applied": 1, 409: 49}
    seen = together(12, lambda _: ask(box, "GET", f"{box.base()}/bootstrap/public"))
    assert {answer["branding"]["title"] for _, answer in seen} == {BRANDING["title"]}
    assert "chain of 1 entries is intact" in box.crm("log", "verify", "--tenant", TENANT)


def test_one_line_one_address_and_metrics_of_all(box: Box) -> None:
    """The address is printed once; each process counts, and each returns the sum."""
    assert re.fullmatch(rb"crm eu1 serves http://\S+ from 3 processes \(pid \d+\)\n", box.said())
    before = metric(box, 'crm_http_requests_total{method="GET",status="200"}')
    together(60, lambda _: ask(box, "GET", "/healthz"))
    sums = [metric(box, 'crm_http_requests_total{method="GET",status="200"}') for _ in range(6)]
    assert sums == [before + 61 + number for number in range(6)]
    assert metric(box, "crm_tenants") == 1


def metric(box: Box, name: str) -> float:
    _, text = ask(box, "GET", "/metrics")
    found = (float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} "))
    return next(found, 0.0)


def test_a_lock_out_counts_over_all_processes(box: Box) -> None:
    """Ten wrong passwords lock an account everywhere; a command, which needs no socket, ends that everywhere."""
    options = ("--tenant", TENANT, "--password-stdin")
    box.crm("user", "create", *options, "--email", "ada@example.com", "--role", "agent", stdin=PASSWORD + "\n")

    def login(password: str) -> int:
        return ask(box, "POST", f"{box.base()}/auth/login", {"email": "ada@example.com", "password": password})[0]

    assert Counter(together(14, lambda _: login("wrong"))) == {401: 10, 429: 4}
    assert [login(PASSWORD) for _ in range(3)] == [429] * 3
    events = [json.loads(line) for line in box.log_text().splitlines()]
    refused = [event["worker"] for event in events if event["event"] == "sign_in_refused"]
    assert len(refused) == 10
    assert set(refused) <= {1, 2, 3}
    box.crm("user", "passwd", "ada@example.com", *options, stdin="another long one\n")
    assert together(6, lambda _: login("another long one")) == [200] * 6


def test_streams_of_all_processes_are_limited_and_hear_everything(box: Box) -> None:
    """A token has twenty streams over all processes; what happens in one is heard in each."""
    headers = box.bearer("customers:read", "customers:write")
    with ExitStack() as stack:
        answers = []
        for _ in range(23):
            connection = stack.enter_context(closing(HTTPConnection("127.0.0.1", box.port, timeout=20)))
            connection.request("GET", f"{box.base()}/events", headers=headers)
            answers.append(connection.getresponse())
        assert Counter(answer.status for answer in answers) == {200: 20, 429: 3}
        assert metric(box, "crm_event_streams") == 20
        status, _ = ask(box, "POST", f"{box.base()}/customers", {"name": "Ada"}, headers)
        assert status == 201
        for answer in answers:
            if answer.status == 200:
                assert any(b"record.changed" in line for line in iter(answer.readline, b""))


def test_a_killed_process_loses_nothing_and_is_replaced(box: Box) -> None:
    """Under load: every record whose creation was answered is there once, and three processes serve again."""
    headers, answered, stopping = box.bearer("customers:read", "customers:write"), set[str](), threading.Event()

    def write(number: int) -> None:
        for step in range(1000):
            name = f"k{number}-{step}"
            while name not in answered:
                try:
                    status, _ = ask(box, "PUT", f"{box.base()}/customers/external/{name}", {"name": name}, headers)
                except (OSError, HTTPException):
                    continue
                assert status in (200, 201)
                answered.add(name)
            if stopping.is_set():
                return

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(answered) > 30, box.log_text)
    first = workers(box)
    os.kill(first[0], signal.SIGKILL)
    reached = len(answered)
    until(lambda: len(workers(box)) == 3 and first[0] not in workers(box), box.log_text)
    until(lambda: len(answered) > reached + 30, box.log_text)
    stopping.set()
    for thread in threads:
        thread.join()
    found = set()
    for name in answered:
        _, page = ask(box, "GET", f"{box.base()}/customers?external_id={name}&total=true", None, headers)
        assert page["total"] == 1
        found.add(page["items"][0]["external_id"])
    assert found == answered
    assert '"code": -9' in box.log_text()

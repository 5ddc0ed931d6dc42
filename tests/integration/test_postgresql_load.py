"""Two processes on one PostgreSQL, whose connections are cut."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import psycopg
import pytest

from contract.box import BRANDING, TENANT, Box, until
from postgresql_server import Server


@pytest.fixture(scope="module")
def box(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    settings = {"storage": {"backend": "postgresql", "dsn": postgresql.copy(), "pool": 4}}
    box = Box(tmp_path_factory.mktemp("cut") / "box", settings=settings)
    box.options = ("--processes", "2")
    box.create_tenants().start()
    yield box
    assert box.stop() == 0


def ask(box: Box, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
    """The answer on a new connection, from the process that accepts it."""
    with closing(HTTPConnection("127.0.0.1", box.port, timeout=30)) as connection:
        connection.request(method, f"{box.base()}/{path}", body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def cut(postgresql: Server) -> None:
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crm'")


def test_of_many_identical_pushes_one_is_applied(box: Box) -> None:
    """By two processes, as by one and by three."""
    raw = box.body("branding", BRANDING)
    headers = box.sign("branding", raw)
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda _: ask(box, "POST", "sync/branding", raw, headers), range(50)))
    assert Counter(answer["status"] for _, answer in done) == {"applied": 1, 409: 49}


def test_what_was_answered_stays_when_connections_are_cut(box: Box, postgresql: Server) -> None:
    """Under load: records and pushes are answered, or refused with 503; nothing that was answered is lost."""
    headers, stopping = box.bearer("customers:read", "customers:write"), threading.Event()
    created, pushed, statuses = set[str](), set[int](), set[int]()

    def create(number: int) -> None:
        step = 0
        while not stopping.is_set():
            name = f"c{number}-{step}"
            body = json.dumps({"name": name}).encode()
            status, _ = ask(box, "PUT", f"customers/external/{name}", body, headers)
            statuses.add(status)
            if status in (200, 201):
                created.add(name)
                step += 1

    def push() -> None:
        while not stopping.is_set():
            version = next(box.versions)
            raw = box.body("branding", {**BRANDING, "title": f"Title {version}"}, version=version)
            status, _ = ask(box, "POST", "sync/branding", raw, box.sign("branding", raw))
            statuses.add(status)
            if status == 200:
                pushed.add(version)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=push))
    for thread in threads:
        thread.start()
    for _ in range(4):
        reached = len(created), len(pushed)
        until(lambda reached=reached: len(created) > reached[0] + 5 and len(pushed) > reached[1], box.log_text)
        cut(postgresql)
    until(lambda: len(created) > reached[0] + 10, box.log_text)
    stopping.set()
    for thread in threads:
        thread.join()
    assert statuses <= {200, 201, 503}
    for name in created:
        _, page = ask(box, "GET", f"customers?external_id={name}&total=true", None, headers)
        assert page["total"] == 1
    log = [json.loads(line) for line in box.crm("log", "export", "--tenant", TENANT).splitlines()]
    assert pushed <= {each["payload_version"] for each in log if each["status"] == "applied"}
    assert "is intact" in box.crm("log", "verify", "--tenant", TENANT)

"""``crm serve`` while its database does not answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from contract.box import BRANDING, Box, good, problem, until
from postgresql_proxy import Proxy
from postgresql_server import Server, pooler

LIMIT = 5.0  # seconds for an answer
PROBE = 4.0  # seconds: twice as long as a manager waits for /readyz, as this machine may have other things to do


@pytest.fixture
def proxy(postgresql: Server) -> Iterator[Proxy]:
    """A closed way to a database with the schema."""
    proxy = Proxy(postgresql.copy())
    yield proxy
    proxy.close()


@pytest.fixture
def box(tmp_path: Path, proxy: Proxy) -> Iterator[Box]:
    """An instance behind the proxy, not started."""
    box = Box(tmp_path / "box", settings={"storage": {"backend": "postgresql", "dsn": proxy.dsn, "pool": 4}})
    yield box
    box.stop()


def refused(box: Box) -> None:
    """A read is refused in time, and the answer names no host."""
    answer = box.client.get(f"{box.base()}/bootstrap/public", timeout=LIMIT)
    problem(answer, 503, "storage_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "127.0.0.1" not in answer.text


def status(box: Box) -> str:
    return str(good(box.client.get("/readyz"))["status"])


def test_a_server_starts_before_its_database_and_heals_by_itself(box: Box, proxy: Proxy) -> None:
    """503 with Retry-After, readyz gives operators the reason, and all works once the database answers; twice."""
    box.start()
    for created in (False, True):
        refused(box)
        ready = good(box.client.get("/readyz"))
        assert ready["status"] == "degraded"
        assert "refused" in ready["storage"]
        stranger = box.client.get("/readyz", headers={"X-Forwarded-For": "203.0.113.9"})
        assert stranger.json() == {"status": "degraded", "instance": "eu1", "storage_up": False}
        assert "crm_storage_up 0.0" in box.client.get("/metrics").text
        (reason,) = box.crm("tenant", "list", code=1).splitlines()
        assert "refused" in reason
        proxy.open()
        until(lambda: status(box) == "ready", box.log_text)
        assert "crm_storage_up 1.0" in box.client.get("/metrics").text
        until(lambda: '"event": "storage_recovered"' in box.log_text(), box.log_text)
        if not created:
            box.create_tenants()
        box.applied("branding", {**BRANDING, "title": f"Created {created}"})
        proxy.close()
        until(lambda: status(box) == "degraded", box.log_text)
    assert '"event": "storage_unavailable"' in box.log_text()
    assert "psycopg" not in box.log_text(), "the pool reports each of its tries"


def test_a_browser_gets_a_page_while_the_database_is_down(box: Box, proxy: Proxy) -> None:
    """In the brand that was seen last; that of a form says what was not done; programs get the problem."""
    proxy.open()
    box.create_tenants().start()
    box.applied("branding", {**BRANDING, "title": "Nordwind <Reisen>"})
    path, browser = "/i/eu1/t/northwind/login?next=%2Fi&x=<", {"Accept": "text/html,*/*;q=0.8"}
    assert box.client.get(path, headers=browser).status_code == 200
    proxy.close()
    shown = box.client.get(path, headers=browser)
    assert (shown.status_code, shown.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert int(shown.headers["retry-after"]) > 0
    assert "cannot be shown at the moment" in shown.text
    assert "Nordwind &lt;Reisen&gt;" in shown.text
    assert 'href="/i/eu1/t/northwind/login?next=%2Fi&amp;x=' in shown.text
    (theme,) = re.findall(r'id="theme" href="([^"]+)"', shown.text)
    assert box.client.get(theme, headers={"Accept": "text/css"}).headers["content-type"] == "text/css; charset=utf-8"
    german = {**browser, "Accept-Language": "de"}
    for form, title, leads_on in (
        (path, "Die Anmeldung ist gerade nicht möglich", 'href="/i/eu1/t/northwind/login"'),
        ("/i/eu1/t/northwind/forgot", "Es kann gerade kein Link gesendet werden", 'href="/i/eu1/t/northwind/forgot"'),
        ("/i/eu1/t/northwind/password/a", "Änderungen können gerade nicht gespeichert werden", "<h1>"),
    ):
        sent = box.client.post(form, data={"email": "a"}, headers=german)
        assert (sent.status_code, title in sent.text, leads_on in sent.text) == (503, True, True), sent.text
    unseen = box.client.get("/i/eu1/t/contoso/login", headers=browser)
    assert (unseen.status_code, "Contoso" in unseen.text) == (503, True)
    problem(box.client.get(path), 503, "storage_unavailable")
    problem(box.client.get(f"{box.base()}/bootstrap/public", headers=browser), 503, "storage_unavailable")


def test_a_stalled_database_costs_five_seconds_at_most(box: Box, proxy: Proxy) -> None:
    """Reads and writes, small and of half a megabyte, are refused in time when it hangs, also those that wait."""
    proxy.open()
    box.create_tenants().start()
    headers = box.bearer("customers:read", "customers:write")
    large = [{"external_id": f"c{n}", "name": f"Customer {n}", "notes": "n" * 5000} for n in range(100)]

    def write(number: int) -> int:
        if number % 3:
            path, body = f"customers/external/e{number}", {"name": f"e{number}"}
            return box.client.put(f"{box.base()}/{path}", json=body, headers=headers, timeout=LIMIT).status_code
        body = {"items": large[number : number + 90]}
        return box.client.post(f"{box.base()}/customers/batch", json=body, headers=headers, timeout=LIMIT).status_code

    assert write(0) == 200
    proxy.stall()
    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(write, range(12))) == {503}
    assert good(box.client.get("/readyz", timeout=PROBE))["status"] == "degraded"
    refused(box)
    proxy.flow()
    until(lambda: write(0) == 200, box.log_text)


@pytest.mark.system("pgbouncer")
def test_a_pooler_in_front_of_a_stalled_database_delays_nothing(tmp_path: Path, proxy: Proxy) -> None:
    """It accepts connections and lets their statements wait: readyz, a command and a start say so, and it heals."""
    proxy.open()
    with pooler(proxy.dsn) as dsn:
        box = Box(tmp_path / "box", settings={"storage": {"backend": "postgresql", "dsn": dsn, "pool": 4}})
        box.create_tenants().start()
        assert status(box) == "ready"
        proxy.stall()
        for _ in range(2):
            ready = good(box.client.get("/readyz", timeout=PROBE))
            assert (ready["status"], "did not answer within" in ready["storage"]) == ("degraded", True), ready
            refused(box)
        assert "did not answer within" in box.crm("tenant", "list", code=1)
        box.stop()
        box.start()
        refused(box)
        proxy.flow()
        until(lambda: status(box) == "ready", box.log_text)
        box.stop()


def test_an_unfit_database_is_named_when_it_answers(box: Box, proxy: Proxy, postgresql: Server) -> None:
    """Another schema is in readyz until it is this version's; a store that moved elsewhere stops the server."""
    box.start()
    with psycopg.connect(proxy.direct, autocommit=True) as db:
        db.execute("UPDATE crm.version SET version = version + 90")
        proxy.open()
        until(lambda: "newer version" in good(box.client.get("/readyz"))["storage"], box.log_text)
        refused(box)
        db.execute("UPDATE crm.version SET version = version - 90")
        until(lambda: status(box) == "ready", box.log_text)
        box.stop()
        proxy.close()
        db.execute("INSERT INTO crm.marks VALUES ('eu1', %s)", (b'{"state":"moved","other":"tinydb"}',))
    box.start()
    proxy.open()
    assert box.process is not None
    assert box.process.wait(20) == 1
    assert "moved to tinydb" in box.log_text()


def test_a_server_ends_if_its_store_was_copied_while_it_hung(box: Box, proxy: Proxy) -> None:
    """Its process counts for 15 seconds, then the copy marks the store; once it continues it ends, and says why."""
    proxy.open()
    box.create_tenants().start()
    with psycopg.connect(proxy.direct, autocommit=True) as db:
        db.execute("INSERT INTO crm.marks VALUES ('eu1', %s)", (b'{"state":"moved","other":"tinydb"}',))
    assert box.process is not None
    assert box.process.wait(20) == 1
    assert "moved to tinydb" in box.log_text()

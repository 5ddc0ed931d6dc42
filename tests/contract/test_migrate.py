from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from contract.box import Box, until
from contract.conftest import Boxes
from doc_plugins import BACKEND

TENANTS = {f"t{number}": {"sync": "disabled", "keys": []} for number in range(12)}
OTHERS = {"sqlite": {}, "tinydb": {}}


@pytest.fixture
def stopped(boxes: Boxes) -> Callable[..., Box]:
    """Makes instances on files that do not run, with the SQLite backend as another one."""

    def make(backend: str = "tinydb", **parts: object) -> Box:
        settings = {"plugins": {"folders": ["lone"]}, "storage": {"backend": backend, "others": OTHERS}}
        return boxes(start=False, settings=settings, files={"lone/sqlite_storage.py": BACKEND.read_text()}, **parts)

    return make


def switch(box: Box, backend: str) -> None:
    box.write_settings({"plugins": {"folders": ["lone"]}, "storage": {"backend": backend, "others": OTHERS}})


def test_migrate_to_another_backend_and_back(stopped: Callable[..., Box]) -> None:
    """Records, users, tokens, used nonces, the log's head and cursors are the same; a marked store is refused."""
    box = stopped().start()
    box.applied("branding", {"title": "North"})
    writer = box.bearer("customers:read", "customers:write")
    made = box.client.post(f"{box.base()}/customers", json={"name": "Ada"}, headers=writer).json()
    cursor = box.get("changes").json()["next"]
    raw = box.body("features", {})
    headers = box.sign("features", raw)
    assert box.client.post(f"{box.base()}/sync/features", content=raw, headers=headers).status_code == 200
    head = box.health()["log_head"]
    assert "stop it first" in box.crm("migrate", "--to", "sqlite", code=1)
    box.stop()
    said = box.crm("migrate", "--to", "sqlite")
    assert "Copied from tinydb to sqlite and compared: tenants 1, documents " in said
    assert "the tenants of tinydb moved to sqlite: set storage.backend to sqlite" in box.crm("serve", code=1)
    assert "moved to sqlite" in box.crm("user", "list", "--tenant", "northwind", code=1)
    switch(box, "sqlite")
    box.start()
    assert box.health()["log_head"] == head
    again = box.client.post(f"{box.base()}/sync/features", content=raw, headers=headers)
    assert again.json()["code"] == "replayed_nonce"
    assert box.client.get(f"{box.base()}/customers/{made['id']}", headers=writer).json()["name"] == "Ada"
    assert box.client.get(f"{box.base()}/changes?after={cursor}", headers=writer).status_code == 200
    box.stop()
    assert "Copied from sqlite" in box.crm("migrate", "--to", "tinydb")
    switch(box, "tinydb")
    assert f"{head['seq']} entries is intact" in box.crm("log", "verify", "--tenant", "northwind")


def test_a_killed_migration_leaves_the_source_as_it_was(stopped: Callable[..., Box]) -> None:
    """After kill -9 in the middle the source serves and the target does not; another run completes the copy."""
    box = stopped(tenants=TENANTS)
    command = [*box.program, "migrate", "--to", "sqlite", "--config", str(box.config)]
    found = box.folder / "tenants"
    with subprocess.Popen(command, env=box.environ) as process:
        until(lambda: list(found.glob("*.sqlite3")), lambda: "no tenant was copied", process)
        os.kill(process.pid, signal.SIGKILL)
    switch(box, "sqlite")
    assert "run crm migrate --to sqlite again" in box.crm("serve", code=1)
    switch(box, "tinydb")
    assert "no problems found" in box.crm("doctor", "t0")
    assert "compared: tenants 12," in box.crm("migrate", "--to", "sqlite")


def test_what_cannot_be_migrated_is_refused(stopped: Callable[..., Box]) -> None:
    """The present backend, one that storage.others lacks, one that no plugin brings, and a target with other data."""
    box = stopped()
    assert "is tinydb already" in box.crm("migrate", "--to", "tinydb", code=1)
    assert "storage.others" in box.crm("migrate", "--to", "postgresql", code=1)
    unknown = "there is no storage backend `mysql`; known here: postgresql, sqlite or tinydb"
    assert unknown in box.crm("migrate", "--to", "mysql", code=1)
    assert "did you mean `postgresql`?" in box.crm("migrate", "--to", "postgres", code=1)
    switch(box, "sqlite")
    box.crm("tenant", "create", "other")
    switch(box, "tinydb")
    assert "give it an empty store" in box.crm("migrate", "--to", "sqlite", code=1)
    box.write_settings({"storage": {"others": {"mysql": {}}}})
    assert "there is no storage backend `mysql`" in box.crm("tenant", "list", code=1)

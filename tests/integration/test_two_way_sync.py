from __future__ import annotations

import runpy
import sqlite3
from pathlib import Path

import httpx

from plain_http import PLAIN
from soak.run import PROGRAM, Soak, soak


def test_both_sides_are_equal_after_kills(tmp_path: Path) -> None:
    """After kills of the server in a batch, before an answer and in a fold, and of the program before it saves a page.

    Both sides write all the time. In the end each has every record once, equal, and nothing that was written is lost.
    """
    said: list[str] = []
    assert soak(tmp_path, records=300, writers=3, rounds=2, say=said.append) == []
    assert len(said) == 2


def test_a_restored_backup_is_taken_over(tmp_path: Path) -> None:
    """Records that the tenant lost are gone here too, older ones replace newer ones, and an edit here arrives.

    A row that is refused stays here, and the program ends.
    """
    run = Soak(tmp_path, records=3, writers=0)
    try:
        run.fill()
        run.box.crm("tenant", "backup", "northwind", str(tmp_path / "backup"))
        with httpx.Client(headers=run.headers, verify=PLAIN) as api:
            for name in ("lost", "lost too"):
                first = api.put(f"{run.api}/customers/external/c0", json={"name": name}).json()
            api.put(f"{run.api}/customers/external/later", json={"name": "Later"})
            second = api.put(f"{run.api}/customers/external/c1", json={}).json()
            assert api.delete(f"{run.api}/customers/{second['id']}").status_code == 204
        run.sync_once()
        assert (first["revision"], run.differences()) == (3, [])
        run.box.crm("tenant", "remove", "northwind", "--yes", "--no-backup")
        run.box.crm("tenant", "restore", "northwind", str(tmp_path / "backup"))
        run.sync_once()
        assert run.differences() == []
        with sqlite3.connect(run.erp) as db:
            db.execute("UPDATE people SET name = 'Here', changed = changed + 1 WHERE number = 'c0'")
            db.execute("INSERT INTO people (number, name, changed) VALUES ('unfit', '', 1)")
        run.edits["c0"] = "Here"
        run.sync_once()
        assert run.differences() == ["unfit was not sent", "unfit: None there, (None, '', 0, False) here"]
    finally:
        run.box.stop()


def test_refused_rows_do_not_block_others(tmp_path: Path) -> None:
    """A whole batch of rows that do not fit, such as a column of bad addresses, leaves the rows after it to be sent."""
    run = Soak(tmp_path, records=1, writers=0)
    try:
        run.fill()
        with sqlite3.connect(run.erp) as db:
            unfit = [(f"unfit-{number}",) for number in range(500)]
            db.executemany("INSERT INTO people (number, name, changed) VALUES (?, '', 1)", unfit)
            db.execute("INSERT INTO people (number, name, changed) VALUES ('fit', 'Fit', 1)")
        run.sync_once()
        with httpx.Client(headers=run.headers, verify=PLAIN) as api:
            assert len(api.get(f"{run.api}/customers?external_id=fit").json()["items"]) == 1
    finally:
        run.box.stop()


def test_a_record_that_is_restored_between_two_lists_stays(tmp_path: Path) -> None:
    """It is archived while the live ones are read and live while the archived ones are: an edit here is not lost."""
    run = Soak(tmp_path, records=1, writers=0)
    try:
        run.fill()
        with (
            sqlite3.connect(run.erp) as db,
            httpx.Client(base_url=run.api + "/", headers=run.headers, verify=PLAIN) as api,
        ):
            (id_,) = db.execute("SELECT id FROM people").fetchone()
            db.execute("UPDATE people SET name = 'Here', changed = 1")
            api.delete(f"customers/{id_}").raise_for_status()

            def restore(request: httpx.Request) -> None:
                if "archived=true" in str(request.url):
                    restoring = f"{run.api}/customers/{id_}/restore"
                    httpx.post(restoring, headers=run.headers, verify=PLAIN).raise_for_status()

            api.event_hooks["request"] = [restore]
            runpy.run_path(str(PROGRAM))["load"](db, api)
            assert db.execute("SELECT name, changed FROM people").fetchall() == [("Here", 1)]
    finally:
        run.box.stop()

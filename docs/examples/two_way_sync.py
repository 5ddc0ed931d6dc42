"""Keep the customers of a tenant and a table of another system in step, in both directions.

``API=https://crm.example.com/i/eu1/t/northwind/api/v1 TOKEN=crm_... python two_way_sync.py erp.sqlite3 [--once]``

The other system is an SQLite file with the table ``people``; an edit there adds 1 to ``changed``. The program may be
killed at any point: a page of changes and the cursor after it are saved in one transaction, and an upsert by external
id makes no second record. Where both sides changed a record, the other system wins.
"""

# ruff: noqa: INP001, T201 -- a program of one file

from __future__ import annotations

import os
import sqlite3
import sys
import time
from typing import Any

import httpx

SCHEMA = """
CREATE TABLE IF NOT EXISTS people (number TEXT PRIMARY KEY, id TEXT UNIQUE, name TEXT, email TEXT,
    revision INTEGER DEFAULT 0, changed INTEGER DEFAULT 0, archived INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS progress (cursor TEXT);
"""
APPLY = """
INSERT INTO people (number, id, name, email, revision, archived)
VALUES (:number, :id, :name, :email, :revision, :archived)
ON CONFLICT (number) DO UPDATE SET id = :id, revision = :revision, archived = :archived,
    name = iif(changed, name, :name), email = iif(changed, email, :email) WHERE :revision > revision
"""


def opened(path: str) -> sqlite3.Connection:
    """The other system's tables."""
    db = sqlite3.connect(path, timeout=60)
    db.executescript(SCHEMA)
    return db


def apply(db: sqlite3.Connection, record: dict[str, Any]) -> None:
    """Take over a record, unless a newer one is here already; a row that was changed here keeps its texts."""
    known = db.execute("SELECT number FROM people WHERE id = ?", (record["id"],)).fetchone()
    number = known[0] if known else record["external_id"] or record["id"]
    db.execute(APPLY, {**record, "number": number, "archived": record["archived_at"] is not None})


def load(db: sqlite3.Connection, api: httpx.Client) -> None:
    """Read everything: the end of the feed first, then all lists, so that no change falls between."""
    cursor = api.get("changes", params={"types": "customers"}).raise_for_status().json()["next"]
    with db:
        db.execute("UPDATE people SET revision = 0")  # after a restore of a backup those of the tenant are lower
    seen: set[str] = set()
    for archived in ("false", "true"):
        page: dict[str, Any] = {"next_cursor": ""}
        while page["next_cursor"] is not None:
            more = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            parameters = {"limit": "200", "archived": archived, **more}
            page = api.get("customers", params=parameters).raise_for_status().json()
            with db:
                for record in page["items"]:
                    apply(db, record)
                    seen.add(record["id"])
    here = {id_ for (id_,) in db.execute("SELECT id FROM people WHERE id IS NOT NULL")}
    gone = [(id_,) for id_ in here - seen if is_gone(api, id_)]
    with db:
        db.executemany("DELETE FROM people WHERE id = ?", gone)
        db.execute("DELETE FROM progress")
        db.execute("INSERT INTO progress VALUES (?)", (cursor,))


def is_gone(api: httpx.Client, id_: str) -> bool:
    """Whether no record has this id; one that was archived or restored between the two lists is in neither."""
    answer = api.get(f"customers/{id_}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return True
    answer.raise_for_status()
    return False


def pull(db: sqlite3.Connection, api: httpx.Client, wait: int) -> bool:
    """Take over the next page of changes; whether there was any."""
    progress = db.execute("SELECT cursor FROM progress").fetchone()
    if progress is None:
        load(db, api)
        return True
    parameters = {"after": progress[0], "types": "customers", "include": "record", "wait": str(wait)}
    answer = api.get("changes", params=parameters)
    if answer.status_code == 410:  # a backup was restored, or this program slept for a year
        load(db, api)
        return True
    page = answer.raise_for_status().json()
    print(f"received {len(page['items'])} changes", flush=True)
    with db:
        for item in page["items"]:
            if item["record"] is not None:
                apply(db, item["record"])
            elif item["change"] == "erased":
                db.execute("DELETE FROM people WHERE id = ?", (item["id"],))
        db.execute("UPDATE progress SET cursor = ?", (page["next"],))
    return bool(page["items"]) or page["more"]


def push(db: sqlite3.Connection, api: httpx.Client) -> bool:
    """Send rows that were changed here; whether any came further. One that is refused is not sent in a hurry again."""
    moved, last = False, 0
    query = """SELECT rowid, number, id, name, email, revision, changed FROM people
        WHERE changed AND rowid > ? ORDER BY rowid LIMIT 500"""
    while rows := db.execute(query, (last,)).fetchall():  # refused rows, however many, are no reason to stop
        last = rows[-1][0]
        moved = send(db, api, [row[1:] for row in rows]) or moved
    return moved


def send(db: sqlite3.Connection, api: httpx.Client, rows: list[tuple[Any, ...]]) -> bool:
    """Send rows in a batch; whether any came further."""
    items = [
        {"name": name, "email": email, **({"id": id_, "if_revision": revision} if id_ else {"external_id": number})}
        for number, id_, name, email, revision, _ in rows
    ]
    results = api.post("customers/batch", json={"items": items}).raise_for_status().json()["results"]
    archived, refused = [], 0
    with db:
        for (number, _, _, _, _, changed), result in zip(rows, results, strict=True):
            if "revision" in result:
                done = "UPDATE people SET id = ?, revision = max(revision, ?), changed = changed - ? WHERE number = ?"
                db.execute(done, (result["id"], result["revision"], changed, number))
            elif result["problem"]["code"] == "record_archived":
                archived.append((number, result["problem"]["id"]))
            elif result["problem"]["code"] != "revision_mismatch":  # then the feed has the newer revision
                print(number, result["problem"].get("errors", result["problem"]["detail"]), file=sys.stderr)
                refused += 1
    for number, id_ in archived:  # it was archived over there: that ends what was changed here
        answer = api.get(f"customers/{id_}")
        with db:
            db.execute("UPDATE people SET changed = 0, revision = 0, id = ? WHERE number = ?", (id_, number))
            if answer.is_success:
                apply(db, answer.json())
    return refused < len(rows)


def main() -> None:
    """Sync for good, or with ``--once`` until both sides are equal."""
    if len(sys.argv) < 2 or not (os.environ.get("API") and os.environ.get("TOKEN")):
        raise SystemExit(__doc__)
    db, once, wait = opened(sys.argv[1]), "--once" in sys.argv, 0
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    with httpx.Client(base_url=os.environ["API"] + "/", headers=headers, timeout=40) as api:
        while True:
            try:
                moved = [pull(db, api, wait), push(db, api)]
            except httpx.UnsupportedProtocol:
                raise SystemExit(f"API is no address: {os.environ['API']}") from None
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                answer = getattr(error, "response", None)
                if answer is not None and answer.is_client_error and answer.status_code != 429:
                    raise SystemExit(answer.text) from None  # a repeat would be refused again
                print(f"waiting: {error!r}", flush=True)
                time.sleep(0.2 if answer is None else float(answer.headers.get("Retry-After", 0.2)))
                continue
            if once and not any(moved):
                return
            wait = 0 if any(moved) else 1


if __name__ == "__main__":
    main()

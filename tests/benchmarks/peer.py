"""The peer: customers and a webhook receiver in FastAPI over SQLite (WAL, synchronous FULL), as one would write it.

``python -m benchmarks.peer PORT FILE``. The bearer token is ``TOKEN``; pushes are signed with ``SECRET`` (Standard
Webhooks, verified by that project's package); nonce, configuration and log entry share one transaction.
"""

from __future__ import annotations

import base64
import sqlite3
import sys
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from pydantic import BaseModel, Field
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

TOKEN = "peer-token"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
TABLES = """
CREATE TABLE customers (id TEXT PRIMARY KEY, external_id TEXT UNIQUE, name TEXT, email TEXT, phone TEXT, company TEXT,
    status TEXT, tags TEXT, notes TEXT, created_at TEXT);
CREATE INDEX by_status ON customers (status, created_at, id);
CREATE TABLE nonces (nonce TEXT PRIMARY KEY, at TEXT);
CREATE TABLE config (tenant TEXT, type TEXT, version INTEGER, data TEXT, PRIMARY KEY (tenant, type));
CREATE TABLE log (id TEXT PRIMARY KEY, tenant TEXT, type TEXT, version INTEGER, status TEXT, at TEXT);
"""
app = FastAPI()
database = sqlite3.connect(sys.argv[2] if __name__ == "__main__" else ":memory:", isolation_level=None)
database.row_factory = sqlite3.Row
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=FULL")
database.executescript(TABLES)
webhook = Webhook(SECRET)


class NewCustomer(BaseModel):
    external_id: str | None = Field(None, max_length=128)
    name: str = Field(min_length=1, max_length=200)
    email: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$")
    phone: str | None = Field(None, max_length=40)
    company: str | None = Field(None, max_length=200)
    status: str = Field("lead", pattern="^(lead|active|inactive)$")
    tags: list[str] = []
    notes: str | None = Field(None, max_length=10_000)


class Customer(NewCustomer):
    id: str
    created_at: str


class Listing(BaseModel):
    items: list[Customer]
    next: str | None


class Branding(BaseModel):
    title: str
    colors: dict[str, str]
    footer: dict[str, Any]
    login_message: str


class Push(BaseModel):
    tenant: str
    type: str
    version: int
    data: Branding


def signed_in(authorization: Annotated[str, Header()]) -> None:
    if authorization != f"Bearer {TOKEN}":
        raise HTTPException(401)


def now() -> str:
    return datetime.now(UTC).isoformat()


def read(row: sqlite3.Row) -> Customer:
    return Customer(**{**dict(row), "tags": row["tags"].split("\n") if row["tags"] else []})


@app.get("/customers/{customer}", dependencies=[Depends(signed_in)])
async def detail(customer: str) -> Customer:
    row = database.execute("SELECT * FROM customers WHERE id = ?", (customer,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return read(row)


@app.get("/customers", dependencies=[Depends(signed_in)])
async def listed(status: str, limit: Annotated[int, Query(ge=1, le=200)] = 50, after: str = "") -> Listing:
    rows = database.execute(
        "SELECT * FROM customers WHERE status = ? AND created_at > ? ORDER BY created_at, id LIMIT ?",
        (status, after, limit + 1),
    ).fetchall()
    following = rows[limit - 1]["created_at"] if len(rows) > limit else None
    return Listing(items=[read(row) for row in rows[:limit]], next=following)


@app.post("/customers", status_code=201, dependencies=[Depends(signed_in)])
async def create(new: NewCustomer) -> Customer:
    made = Customer(id=str(uuid.uuid4()), created_at=now(), **new.model_dump())
    row = made.model_dump() | {"tags": "\n".join(made.tags)}
    columns = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    try:
        database.execute(f"INSERT INTO customers ({columns}) VALUES ({marks})", row)
    except sqlite3.IntegrityError:
        raise HTTPException(409) from None
    return made


@app.post("/sync/{payload_type}")
async def push(payload_type: str, request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        webhook.verify(body, dict(request.headers))
    except WebhookVerificationError:
        raise HTTPException(401) from None
    sent = Push.model_validate_json(body)
    if sent.type != payload_type:
        raise HTTPException(422)
    at, entry = now(), str(uuid.uuid4())
    database.execute("BEGIN IMMEDIATE")
    try:
        database.execute("INSERT INTO nonces VALUES (?, ?)", (request.headers["webhook-id"], at))
        changed = database.execute(
            "INSERT INTO config VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version, "
            "data = excluded.data WHERE excluded.version > version",
            (sent.tenant, sent.type, sent.version, sent.data.model_dump_json()),
        ).rowcount
        row = (entry, sent.tenant, sent.type, sent.version, "applied" if changed else "stale", at)
        database.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", row)
    except sqlite3.IntegrityError:
        database.execute("ROLLBACK")
        raise HTTPException(409) from None
    database.execute("COMMIT")
    if not changed:
        raise HTTPException(409)
    return {"status": "applied", "log": entry, "applied_at": at}


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        access_log=False, log_level="error", lifespan="off",
    )  # fmt: skip

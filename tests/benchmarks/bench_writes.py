"""Commits through the async interface against raw appends by one thread on the same disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from tinydb import TinyDB

from benchmarks.frame import Measurement, Side
from benchmarks.store import NOW, Bench, bench, record
from crm_core.plugin.storage import Unit

RAW = 200  # appends in a round
LINE = b"x" * 499 + b"\n"
WRITERS = 32


def raw(folder: Path) -> Side:
    """How often a second 500 bytes can be appended and synced."""
    path = folder / "raw"

    def appends() -> float:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            began = time.perf_counter()
            for _ in range(RAW):
                os.write(handle, LINE)
                os.fdatasync(handle)
            return RAW / (time.perf_counter() - began)
        finally:
            os.close(handle)

    return appends


def commits(opened: Bench, writers: int, each: int, *, apart: bool = False) -> Side:
    """How many units a second the writers get in, each waiting for its own before the next, on new tenants."""
    rounds = count()

    async def writing(tenant: str, units: list[Unit]) -> None:
        for unit in units:
            await opened.store.commit(tenant, unit)

    async def all_of_them(tenants: list[str], work: list[list[Unit]]) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(writing(tenant, units) for tenant, units in zip(tenants, work, strict=True)))
        return each * writers / (time.perf_counter() - began)

    def side() -> float:
        name = f"{'apart' if apart else 'one'}-{writers}-{next(rounds)}"
        if apart:
            tenants = [opened.filled(f"{name}-{number}", 0) for number in range(writers)]
        else:
            tenants = [opened.filled(name, 0)] * writers
        numbers = count()
        work = [[Unit(now=NOW, puts=(record(next(numbers)),)) for _ in range(each)] for _ in tenants]
        opened.settle()
        return opened.run(all_of_them(tenants, work))

    return side


def tinydb_inserts(folder: Path) -> Side:
    """How many inserts a second stock TinyDB does into a table of 1,000."""
    database = TinyDB(folder / "stock.json")
    table = database.table("customers")
    table.insert_multiple({"name": f"n{number}", "notes": "n" * 460} for number in range(1000))

    def inserts() -> float:
        began = time.perf_counter()
        for number in range(10):
            table.insert({"name": f"m{number}", "notes": "n" * 460})
        return 10 / (time.perf_counter() - began)

    return inserts


def sqlite_inserts(folder: Path) -> Side:
    """How many inserts a second sqlite3 makes durable (WAL, synchronous FULL), a transaction each."""
    database = sqlite3.connect(folder / "sqlite.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, body BLOB)")

    def inserts() -> float:
        began = time.perf_counter()
        for _ in range(RAW):
            database.execute("INSERT INTO customers (body) VALUES (?)", (LINE,))
        return RAW / (time.perf_counter() - began)

    return inserts


def measurements(folder: Path) -> Iterator[Measurement]:
    """Writes, and the disk and other stores next to them."""
    appends = raw(folder)
    yield Measurement(
        name="writes.disk", what="latency of an append of 500 B and fdatasync", a=lambda: 1000 / appends(), unit=" ms"
    )
    with bench(folder / "tenants") as opened:
        one = commits(opened, 1, RAW)
        raw_appends = "raw appends of 500 B with fdatasync by one thread"
        yield Measurement(
            name="writes.one", what=f"one writer against {raw_appends}", unit="x",
            a=one, b=appends, least=0.5, goal=0.9,
        )  # fmt: skip
        yield Measurement(
            name="writes.many", what=f"{WRITERS} writers on one tenant, likewise", unit="x",
            a=commits(opened, WRITERS, 100), b=appends, least=5, goal=8,
        )  # fmt: skip
        yield Measurement(
            name="writes.tenants", what=f"{WRITERS} writers on as many tenants, likewise", unit="x",
            a=commits(opened, WRITERS, 40, apart=True), b=appends, least=2.5,
        )  # fmt: skip
        yield Measurement(
            name="writes.sqlite", what="one writer against sqlite3 (WAL, FULL)", unit="x",
            a=one, b=sqlite_inserts(folder),
        )  # fmt: skip
        yield Measurement(
            name="writes.stock", what="one writer against stock TinyDB with 1,000 records", unit="x",
            a=one, b=tinydb_inserts(folder), rounds=3,
        )  # fmt: skip

"""One process on PostgreSQL on the same machine, which waits for its disk, against a stock Quart application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from benchmarks import load
from benchmarks.bench_records import LARGE, SMALL, Tenant
from benchmarks.bench_speed import ROUNDS, Stock
from benchmarks.frame import Figure, Measurement, Side
from benchmarks.serving import Product, off_the_measured_core, product, pushes, stock
from crm_core.model.change_log import RECORD_CHANGED, ChangeEntry
from crm_core.model.times import to_wire
from crm_core.plugin.storage import StorageContext, Unit
from crm_core.testing.storage import entry
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import server

TENANTS = [f"tenant-{number}" for number in range(64)]
PUSHES = 4  # of each tenant in a round
ALONE = 100  # pushes to a single tenant in a round
COMPARED = 2 * ROUNDS - 1  # of a large tenant with a small one: the machine changes more than the sizes do
LOGGED, TOGETHER = 200_000, 500  # entries of each log, and of a unit


def measurements(folder: Path) -> Iterator[Measurement]:
    """Against stock, then a large tenant against a small one."""
    with ExitStack() as stack:
        with off_the_measured_core():
            database = stack.enter_context(server(durable=True))
        dsn = database.fresh()
        storage = f"storage: {{backend: postgresql, dsn: '{dsn}'}}"
        served = stack.enter_context(product(folder, ["small", "large", *TENANTS], storage))
        plain = stack.enter_context(stock(folder))
        small = Tenant(served, "small", SMALL)
        yield from _against_stock(served, small, plain)
        large = Tenant(served, "large", LARGE)
        asyncio.run(_log(dsn, large.ids))
        yield from _large_against_small(served, large, small)


async def _log(dsn: str, ids: Sequence[str]) -> None:
    """Make the logs of the large tenant long, as years of pushes and updates do."""
    store = PostgreSQLBackend()
    await store.open(StorageContext(Path(), {"dsn": dsn}, instance="eu1"))
    now = datetime.now(UTC)
    for first in range(0, LOGGED, TOGETHER):
        numbers = range(first, first + TOGETHER)
        changes = [
            ChangeEntry(
                event=RECORD_CHANGED, at=to_wire(now), type="customers", id=ids[number % len(ids)], change="updated"
            )
            for number in numbers
        ]
        entries = [entry(number, received_at=to_wire(now), tenant="large") for number in numbers]
        await store.commit("large", Unit(now=int(now.timestamp()), entries=tuple(entries), changes=tuple(changes)))
    await store.close()


def _large_against_small(served: Product, large: Tenant, small: Tenant) -> Iterator[Measurement]:
    versions = count(1)

    def pushed(tenant: str) -> Figure:
        return load.run(load.Job(served.port, pushes(served, [tenant], versions, ALONE)), served.pid).only(200).figure

    rows: list[tuple[str, str, Side, Side]] = [
        ("detail", "details", large.details, small.details),
        ("list", "lists of 25 with a filter", large.lists, small.lists),
        ("create", "durable creates", large.creates, small.creates),
        ("update", "durable updates", large.updates, small.updates),
        ("push", "durable pushes on one connection", lambda: pushed("large"), lambda: pushed("small")),
    ]
    for name, what, ours, other in rows:
        yield Measurement(
            name=f"postgresql.{name}_large",
            what=f"{what}: rate at {LARGE:,} records and {LOGGED:,} entries of both logs against {SMALL:,}",
            unit="x", a=ours, b=other, least=0.8, goal=0.9, rounds=COMPARED,
        )  # fmt: skip


def _against_stock(served: Product, small: Tenant, plain: object) -> Iterator[Measurement]:
    versions = count(1)
    theirs = Stock(plain, pushes(served, TENANTS, versions, 1)[0][0].partition(b"\r\n\r\n")[2])

    def push() -> Figure:
        """Signed durable pushes a second."""
        requests = pushes(served, TENANTS, versions, PUSHES)
        return load.run(load.Job(served.port, requests), served.pid).only(200).figure

    rows: list[tuple[str, str, Side, Side, str, float, float]] = [
        ("detail", "detail by token", small.details, theirs.get, "a stock GET", 0.35, 0.6),
        ("list", "a list of 25 with a filter", small.lists, theirs.get, "a stock GET", 0.3, 0.5),
        ("update", "durable updates that change something", small.updates, theirs.get, "a stock GET", 0.35, 0.6),
        ("push", f"durable pushes to {len(TENANTS)} tenants", push, theirs.post, "a stock POST", 0.2, 0.35),
    ]
    for name, what, ours, other, against, least, goal in rows:
        yield Measurement(
            name=f"postgresql.{name}", what=f"{what} against {against}", unit="x", a=ours, b=other, least=least,
            goal=goal, rounds=ROUNDS,
        )  # fmt: skip

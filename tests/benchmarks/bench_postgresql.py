"""One process on PostgreSQL on the same machine, which waits for its disk, against a stock Quart application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from benchmarks import load
from benchmarks.bench_records import SMALL, Tenant
from benchmarks.bench_speed import ROUNDS, Stock
from benchmarks.frame import Figure, Measurement, Side
from benchmarks.serving import Product, off_the_measured_core, product, pushes, stock
from postgresql_server import server

TENANTS = [f"tenant-{number}" for number in range(64)]
PUSHES = 4  # of each tenant in a round


def measurements(folder: Path) -> Iterator[Measurement]:
    """Against stock, then a large tenant against a small one."""
    with ExitStack() as stack:
        with off_the_measured_core():
            database = stack.enter_context(server(durable=True))
        storage = f"storage: {{backend: postgresql, dsn: '{database.fresh()}'}}"
        served = stack.enter_context(product(folder, ["small", "large", *TENANTS], storage))
        plain = stack.enter_context(stock(folder))
        yield from _against_stock(served, Tenant(served, "small", SMALL), plain)


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

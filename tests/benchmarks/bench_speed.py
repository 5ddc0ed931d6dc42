"""The product under load, next to a stock Quart application and to a peer that does the same with SQLite.

Servers share one core, the client has its own. Ratios of requests per second, each pair interleaved; the table shows
the servers' processor time for each request, which other work on the machine disturbs less.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path

from benchmarks import load
from benchmarks.bench_records import LARGE, SMALL, Tenant, customer
from benchmarks.frame import Figure, Measurement, Side
from benchmarks.measured import reported
from benchmarks.peer import SECRET, TOKEN
from benchmarks.serving import CONNECTIONS, Other, Product, branding, peer, product, pushes, raw, stock

TENANTS = [f"tenant-{number}" for number in range(64)]
SECONDS = 1.0
PUSHES = 8  # of each tenant in a round
WRITES = 24  # of each connection in a round
PACED_SECONDS = 3
ROUNDS = 5


class Stock:
    """Requests to the stock application."""

    def __init__(self, served: Other, body: bytes) -> None:
        self.port = served.port
        self._served = served
        self._posting = [[raw("POST", "/read", {"Content-Type": "application/json"}, body)]] * CONNECTIONS

    def get(self) -> Figure:
        """GETs of a small JSON object a second."""
        return load.run(load.Job(self.port, self.gets(1), SECONDS), self._served.pid).only(200).figure

    def gets(self, each: int) -> list[list[bytes]]:
        """Requests for a small JSON object, so many on each connection."""
        return [[raw("GET", "/hello")] * each] * CONNECTIONS

    def post(self) -> Figure:
        """POSTs that read a body of a push a second."""
        return load.run(load.Job(self.port, self._posting, SECONDS), self._served.pid).only(200).figure


class Peer:
    """The same requests to the peer, filled with as many customers."""

    def __init__(self, served: Other) -> None:
        self._served = served
        self._headers = {"Authorization": f"Bearer {TOKEN}"}
        self._sending = {**self._headers, "Content-Type": "application/json"}
        self._numbers, self._versions = count(), count(1)
        requests = [[self._created() for _ in range(SMALL // CONNECTIONS + 1)] for _ in range(CONNECTIONS)]
        load.run(load.Job(served.port, requests)).only(201)
        address = f"http://127.0.0.1:{served.port}/customers?status=active&limit=200"
        with urllib.request.urlopen(urllib.request.Request(address, headers=self._headers)) as answer:
            self._ids = [item["id"] for item in json.load(answer)["items"]]

    def _run(self, connections: list[list[bytes]], status: int, seconds: float | None = None) -> Figure:
        return load.run(load.Job(self._served.port, connections, seconds), self._served.pid).only(status).figure

    def _created(self) -> bytes:
        return raw("POST", "/customers", self._sending, json.dumps(customer(next(self._numbers))).encode())

    def details(self) -> Figure:
        """Reads of single customers a second."""
        return self._run(
            [[raw("GET", f"/customers/{id_}", self._headers) for id_ in self._ids]] * CONNECTIONS, 200, SECONDS
        )

    def lists(self) -> Figure:
        """Pages of 25 of one status a second."""
        paths = [f"/customers?limit=25&status={status}" for status in ("lead", "active", "inactive")]
        return self._run([[raw("GET", path, self._headers) for path in paths]] * CONNECTIONS, 200, SECONDS)

    def creates(self) -> Figure:
        """Durable creates a second."""
        return self._run([[self._created() for _ in range(WRITES)] for _ in range(CONNECTIONS)], 201)

    def pushes(self) -> Figure:
        """Signed durable pushes a second."""
        numbers = [next(self._versions) for _ in range(PUSHES)]
        lines = [TENANTS[at::CONNECTIONS] for at in range(CONNECTIONS)]
        return self._run([[self._push(name, number) for number in numbers for name in line] for line in lines], 200)

    def _push(self, tenant: str, version: int) -> bytes:
        body = json.dumps({"tenant": tenant, "type": "branding", "version": version, "data": branding(version)})
        stamp, nonce = str(int(time.time())), secrets.token_urlsafe(18)
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        digest = hmac.new(key, f"{nonce}.{stamp}.{body}".encode(), hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        headers = {"webhook-id": nonce, "webhook-timestamp": stamp, "webhook-signature": signature}
        return raw("POST", "/sync/branding", {"Content-Type": "application/json", **headers}, body.encode())


class Pushing:
    """Signed pushes to the product, over all tenants."""

    def __init__(self, served: Product) -> None:
        self._served, self._versions = served, count(1)

    def requests(self, each: int) -> list[list[bytes]]:
        """Fresh pushes."""
        return pushes(self._served, TENANTS, self._versions, each)

    def __call__(self) -> Figure:
        """Signed durable pushes a second."""
        return load.run(load.Job(self._served.port, self.requests(PUSHES)), self._served.pid).only(200).figure


def measurements(folder: Path) -> Iterator[Measurement]:
    """Against stock, against the peer, then latencies at half load and the longest turn of the loop."""
    with product(folder, ["small", "large", *TENANTS]) as served, stock(folder) as plain, peer(folder) as other:
        small, pushing, its = Tenant(served, "small", SMALL), Pushing(served), Peer(other)
        theirs = Stock(plain, pushing.requests(1)[0][0].partition(b"\r\n\r\n")[2])
        yield from _against_stock(small, pushing, theirs)
        yield from _against_peer(small, pushing, its)
        yield from _tails(small, pushing, theirs)

        @cache
        def large() -> Tenant:
            return Tenant(served, "large", LARGE)

        search = f"a search of {LARGE:,} that finds one"
        yield _row("search", search, lambda: large().searches(), theirs.get, "a stock GET", 0.5, 0.8)
    yield Measurement(
        name="speed.turn", what=f"CPU of the loop's longest turn under {CONNECTIONS} pushes", unit=" ms",
        a=lambda: reported("turn", str(folder / "turns"), "")["milliseconds"], most=10, goal=5, rounds=ROUNDS,
    )  # fmt: skip


def _row(  # noqa: PLR0917 -- the columns of the table
    name: str, what: str, ours: Side, theirs: Side, other: str, least: float, goal: float
) -> Measurement:
    return Measurement(
        name=f"speed.{name}", what=f"{what} against {other}", unit="x", a=ours, b=theirs, least=least, goal=goal,
        rounds=ROUNDS,
    )  # fmt: skip


def _against_stock(small: Tenant, pushing: Pushing, theirs: Stock) -> Iterator[Measurement]:
    get = "a stock GET"
    yield _row("detail", "detail by token", small.details, theirs.get, get, 1.0, 1.4)
    yield _row("list", "a list of 25 with a filter", small.lists, theirs.get, get, 0.9, 1.1)
    yield _row("create", "durable creates", small.creates, theirs.get, get, 0.65, 0.85)
    yield _row("update", "durable updates that change something", small.updates, theirs.get, get, 0.6, 0.75)
    yield _row("bootstrap", "bootstrap with a valid tag", small.bootstraps, theirs.get, get, 1.2, 2.0)
    post = "a stock POST that reads such bodies"
    yield _row("push", f"durable pushes to {len(TENANTS)} tenants", pushing, theirs.post, post, 0.35, 0.5)


def _against_peer(small: Tenant, pushing: Pushing, its: Peer) -> Iterator[Measurement]:
    peers = "FastAPI over SQLite"
    yield _row("peer_detail", "detail by token", small.details, its.details, peers, 1.2, 1.5)
    yield _row("peer_list", "a list of 25 with a filter", small.lists, its.lists, peers, 4, 5)
    yield _row("peer_create", "durable creates", small.creates, its.creates, peers, 1.8, 2.4)

    def cpu(side: Callable[[], Figure]) -> Side:
        return lambda: (side().cpu or 0) * 1e6

    what = "CPU of a push: that of FastAPI over SQLite against ours"
    yield Measurement(
        name="speed.peer_push", what=what, unit="x", a=cpu(its.pushes), b=cpu(pushing), least=0.9, goal=1.3,
        rounds=ROUNDS,
    )  # fmt: skip


def _tails(small: Tenant, pushing: Pushing, theirs: Stock) -> Iterator[Measurement]:
    """p99 against the median, in an open loop at half of the rate; that of stock shows the machine's part."""
    kinds: list[tuple[str, Side, Callable[[int], list[list[bytes]]], int]] = [
        ("detail", small.details, small.reads, 200),
        ("list", small.lists, small.listings, 200),
        ("create", small.creates, small.writes, 201),
        ("push", pushing, lambda each: pushing.requests(max(each * CONNECTIONS // len(TENANTS), 1)), 200),
        ("stock", theirs.get, theirs.gets, 200),
    ]
    for name, closed, requests, status in kinds:
        port, most, goal = (theirs.port, None, None) if name == "stock" else (small.port, 4, 2.5)

        @cache
        def pace(closed: Side = closed) -> float:
            return closed() / 2

        def tail(
            pace: Callable[[], float] = pace,
            requests: Callable[[int], list[list[bytes]]] = requests,
            status: int = status,
            port: int = port,
        ) -> float:
            each = int(pace() * PACED_SECONDS / CONNECTIONS) + 1
            ran = load.run(load.Job(port, requests(each), pace=pace())).only(status)
            return ran.p99 / ran.p50

        yield Measurement(
            name=f"speed.tail_{name}", what=f"p99 / median, {name}, open loop at half of its rate", unit="x",
            a=tail, most=most, goal=goal, rounds=ROUNDS,
        )  # fmt: skip

"""What records cost over HTTP beside a stock Quart application, and at 50,000 records beside 1,000."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.frame import Measurement
from benchmarks.serving import CONNECTIONS, Product, product, raw, stock

SMALL, LARGE = 1_000, 50_000
BATCH = 500
SECONDS = 1.5
WRITES = 180  # of each connection in a round
STATUSES = ("lead", "active", "inactive")
SCOPES = ("customers:read", "customers:write")


def customer(number: int) -> dict[str, Any]:
    """A customer of about half a kilobyte."""
    return {
        "external_id": f"ext-{number}",
        "name": f"Customer {number * 7919 % 100_003:06d}",
        "email": f"c{number}@example.com",
        "phone": f"+49 30 {number:07d}",
        "company": f"Company {number % 500}",
        "status": STATUSES[number % 3],
        "tags": [f"t{number % 50}"],
        "notes": "n" * 120,
    }


class Tenant:
    """A tenant with so many customers, and requests on it."""

    def __init__(self, served: Product, name: str, size: int) -> None:
        self.port, self.size = served.port, size
        self._base = f"{served.base(name)}/customers"
        self._headers = {"Authorization": f"Bearer {served.token(name, *SCOPES)}"}
        self._sending = {**self._headers, "Content-Type": "application/json"}
        self._numbers = count(size)
        self.ids: list[str] = []
        for first in range(0, size, BATCH):
            items = [customer(number) for number in range(first, min(first + BATCH, size))]
            self.ids += [result["id"] for result in self._call("/batch", {"items": items})["results"]]
        served.crm("tenant", "fold", name)  # what filling leaves to be done is not what is measured

    def _call(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self._base}{path}", json.dumps(body).encode(), self._sending
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def _reading(self, path: Callable[[int], str]) -> float:
        requests = [
            [raw("GET", self._base + path(line * 997 + turn), self._headers) for turn in range(50)]
            for line in range(CONNECTIONS)
        ]
        return load.run(load.Job(self.port, requests, SECONDS)).only(200).rate

    def details(self) -> float:
        """Reads of single records a second."""
        return self._reading(lambda n: f"/{self.ids[n * 31 % self.size]}")

    def lists(self) -> float:
        """Pages of 25 of one status a second."""
        return self._reading(lambda n: f"?limit=25&status={STATUSES[n % 3]}")

    def sorted_lists(self) -> float:
        """Pages of 25 by name a second."""
        return self._reading(lambda n: f"?limit=25&sort=-name&status={STATUSES[n % 3]}")

    def searches(self) -> float:
        """Searches that find one record a second."""
        return self._reading(lambda n: f"?limit=25&q=c{n * 31 % self.size}@example.com")

    def created(self) -> bytes:
        """A request that creates a new record."""
        body = json.dumps(customer(next(self._numbers))).encode()
        return raw("POST", self._base, self._sending, body)

    def creates(self) -> float:
        """Durable creates a second."""
        requests = [[self.created() for _ in range(WRITES)] for _ in range(CONNECTIONS)]
        return load.run(load.Job(self.port, requests)).only(201).rate

    def updates(self) -> float:
        """Durable updates a second."""
        numbers = [[next(self._numbers) for _ in range(WRITES)] for _ in range(CONNECTIONS)]
        requests = [[self._updated(number) for number in line] for line in numbers]
        return load.run(load.Job(self.port, requests)).only(200).rate

    def _updated(self, number: int) -> bytes:
        body = json.dumps({"phone": f"+49 40 {number}", "status": STATUSES[number % 3]}).encode()
        return raw("PATCH", f"{self._base}/{self.ids[number * 31 % self.size]}", self._sending, body)


def measurements(folder: Path) -> Iterator[Measurement]:
    """Against stock, then large against small."""
    with product(folder, ["small", "large"]) as served, stock(folder) as plain:
        small = Tenant(served, "small", SMALL)
        body = small.created().partition(b"\r\n\r\n")[2]
        getting = load.Job(plain, [[raw("GET", "/hello")]] * CONNECTIONS, SECONDS)
        posting = [[raw("POST", "/read", {"Content-Type": "application/json"}, body)] * WRITES * 2] * CONNECTIONS

        def get() -> float:
            return load.run(getting).only(200).rate

        def post() -> float:
            return load.run(load.Job(plain, posting)).only(200).rate

        for name, what, side, against, least, goal in (
            ("detail", "detail by token", small.details, get, 1.0, 1.4),
            ("list", "a list of 25 with a filter", small.lists, get, 0.9, 1.1),
            ("create", "durable creates", small.creates, post, 0.45, 0.75),
            ("update", "durable updates", small.updates, post, 0.45, 0.75),
        ):
            beside = "a stock GET" if against is get else "a stock POST that reads such bodies"
            yield Measurement(
                name=f"records.{name}", what=f"{what} against {beside}", unit="x",
                a=side, b=against, least=least, goal=goal,
            )  # fmt: skip
        large = Tenant(served, "large", LARGE)
        for name, what, side in (
            ("detail", "detail", Tenant.details),
            ("list", "a list of 25 with a filter", Tenant.lists),
            ("sort", "a list of 25 by name with a filter", Tenant.sorted_lists),
            ("search", "a search that finds one", Tenant.searches),
            ("create", "durable creates", Tenant.creates),
            ("update", "durable updates", Tenant.updates),
        ):
            yield Measurement(
                name=f"records.{name}_large", what=f"{what}: time at {LARGE:,} records against {SMALL:,}", unit="x",
                a=lambda side=side: 1 / side(large), b=lambda side=side: 1 / side(small), most=1.25, goal=1.1,
            )  # fmt: skip

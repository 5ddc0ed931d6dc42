"""The cost of a tenant's size over HTTP: records at 50,000 against 1,000; and pages of the change feed."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.frame import Figure, Measurement
from benchmarks.serving import CONNECTIONS, Product, product, raw

SMALL, LARGE = 1_000, 50_000
BATCH = 500
SECONDS = 1.0
PAGES = 40  # long ones in a round
WRITES = 24  # of each connection in a round
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
        self._pid = served.pid
        base = served.base(name)
        self._base, self._bootstrap, self._feed = f"{base}/customers", f"{base}/bootstrap", f"{base}/changes"
        self._headers = {"Authorization": f"Bearer {served.token(name, *SCOPES)}"}
        self._sending = {**self._headers, "Content-Type": "application/json"}
        self._numbers = count(size)
        self._start = self._get(self._feed)["next"]
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

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=self._headers)
        ) as answer:
            return json.load(answer)

    def _requests(self, path: Callable[[int], str], each: int) -> list[list[bytes]]:
        return [
            [raw("GET", self._base + path(line * 997 + turn), self._headers) for turn in range(each)]
            for line in range(CONNECTIONS)
        ]

    def _reading(self, path: Callable[[int], str]) -> Figure:
        return load.run(load.Job(self.port, self._requests(path, 50), SECONDS), self._pid).only(200).figure

    def _detail(self, number: int) -> str:
        return f"/{self.ids[number * 31 % self.size]}"

    def details(self) -> Figure:
        """Reads of single records a second."""
        return self._reading(self._detail)

    def lists(self) -> Figure:
        """Pages of 25 of one status a second."""
        return self._reading(_listing)

    def sorted_lists(self) -> Figure:
        """Pages of 25 by name a second."""
        return self._reading(lambda n: f"?limit=25&sort=-name&status={STATUSES[n % 3]}")

    def searches(self) -> Figure:
        """Searches that find one record a second."""
        return self._reading(lambda n: f"?limit=25&q=c{n * 31 % self.size}@example.com")

    def long_lists(self) -> float:
        """Processor time of the server for a page of 200."""
        return self._cost([self._base + f"?limit=200&status={STATUSES[n % 3]}" for n in range(PAGES)])

    def feeds(self) -> float:
        """Processor time of the server for 500 items of the change feed."""
        paths, after = [], self._start
        for _ in range(PAGES):
            paths.append(f"{self._feed}?after={after}")
            after = self._get(paths[-1])["next"]
        return self._cost(paths)

    def _cost(self, paths: list[str]) -> float:
        requests = [raw("GET", path, self._headers) for path in paths]
        cpu = load.run(load.Job(self.port, [requests]), self._pid).only(200).figure.cpu
        assert cpu is not None
        return cpu

    def bootstraps(self) -> Figure:
        """Reads of bootstrap with its tag a second."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{self._bootstrap}", headers=self._headers)
        with urllib.request.urlopen(asked) as answer:
            request = raw("GET", self._bootstrap, {**self._headers, "If-None-Match": answer.headers["ETag"]})
        return load.run(load.Job(self.port, [[request]] * CONNECTIONS, SECONDS), self._pid).only(304).figure

    def creates(self) -> Figure:
        """Durable creates a second."""
        return load.run(load.Job(self.port, self.writes(WRITES)), self._pid).only(201).figure

    def updates(self) -> Figure:
        """Durable updates a second."""
        numbers = [[next(self._numbers) for _ in range(WRITES)] for _ in range(CONNECTIONS)]
        requests = [[self._updated(number) for number in line] for line in numbers]
        return load.run(load.Job(self.port, requests), self._pid).only(200).figure

    def reads(self, each: int) -> list[list[bytes]]:
        """Requests for single records, so many on each connection."""
        return self._requests(self._detail, each)

    def listings(self, each: int) -> list[list[bytes]]:
        """Requests for pages, so many on each connection."""
        return self._requests(_listing, each)

    def writes(self, each: int) -> list[list[bytes]]:
        """Requests that create new records, so many on each connection."""
        return [[self._created() for _ in range(each)] for _ in range(CONNECTIONS)]

    def _created(self) -> bytes:
        return raw("POST", self._base, self._sending, json.dumps(customer(next(self._numbers))).encode())

    def _updated(self, number: int) -> bytes:
        body = json.dumps({"phone": f"+49 40 {number}", "status": STATUSES[number % 3]}).encode()
        return raw("PATCH", f"{self._base}/{self.ids[number * 31 % self.size]}", self._sending, body)


def _listing(number: int) -> str:
    return f"?limit=25&status={STATUSES[number % 3]}"


def measurements(folder: Path) -> Iterator[Measurement]:
    """Large against small."""
    with product(folder, ["small", "large"]) as served:
        small, large = Tenant(served, "small", SMALL), Tenant(served, "large", LARGE)
        yield Measurement(
            name="records.changes", what="CPU of the server for 500 items of the change feed against a list of 200",
            unit="x", a=large.feeds, b=large.long_lists, most=4, goal=3, rounds=5,
        )  # fmt: skip
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
                rounds=5,
            )  # fmt: skip

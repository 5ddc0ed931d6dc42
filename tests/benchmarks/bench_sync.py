"""What the product's own work costs beside a stock Quart application: signed pushes, and bootstrap by its tag."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks import load
from benchmarks.frame import Measurement
from benchmarks.serving import CONNECTIONS, Product, product, raw, stock

PUSHES = 60  # of each connection in a round
SECONDS = 1.5
TENANTS = [f"tenant-{number}" for number in range(CONNECTIONS)]


def data(version: int) -> dict[str, object]:
    """A branding section that differs with each version."""
    return {
        "title": f"Northwind {version}",
        "colors": {"primary": "#0b5fff", "sidebar": "#ffffff", "text": "#1b2230"},
        "footer": {"text": "Northwind", "links": [{"label": "Help", "url": "https://example.com/help"}]},
        "login_message": "x" * 300,
    }


def pushes(served: Product, versions: count[int]) -> load.Job:
    """Fresh pushes for every tenant, one connection each."""
    numbers = [next(versions) for _ in range(PUSHES)]
    requests = [[served.push(name, "branding", data(number), number) for number in numbers] for name in TENANTS]
    return load.Job(served.port, requests)


def measurements(folder: Path) -> Iterator[Measurement]:
    """Pushes against reading bodies of that size; bootstrap with a valid tag against a GET."""
    with product(folder, TENANTS) as served, stock(folder) as plain:
        versions = count(1)
        body = served.push(TENANTS[0], "branding", data(1), 1).partition(b"\r\n\r\n")[2]
        reading = [[raw("POST", "/read", {"Content-Type": "application/json"}, body)] * PUSHES] * CONNECTIONS
        yield Measurement(
            name="sync.push", what=f"signed durable pushes over {CONNECTIONS} tenants against reading such bodies",
            unit="x", least=0.4, goal=0.8,
            a=lambda: load.run(pushes(served, versions)).only(200).rate,
            b=lambda: load.run(load.Job(plain, reading)).only(200).rate,
        )  # fmt: skip
        yield _bootstrap(served, plain)
        yield Measurement(
            name="sync.memory", what="resident memory after all of that", unit=" MB", a=lambda: _resident(served.pid),
            rounds=1, warm=0,
        )  # fmt: skip


def _bootstrap(served: Product, plain: int) -> Measurement:
    name = TENANTS[0]
    headers = {"Authorization": f"Bearer {served.token(name, 'customers:read')}"}
    path = f"{served.base(name)}/bootstrap"
    asked = urllib.request.Request(f"http://127.0.0.1:{served.port}{path}", headers=headers)
    with urllib.request.urlopen(asked) as answer:
        headers["If-None-Match"] = answer.headers["ETag"]
    ours = load.Job(served.port, [[raw("GET", path, headers)]] * CONNECTIONS, SECONDS)
    theirs = load.Job(plain, [[raw("GET", "/hello")]] * CONNECTIONS, SECONDS)
    return Measurement(
        name="sync.bootstrap", what="bootstrap with a valid tag against a stock GET", unit="x", least=1.2,
        a=lambda: load.run(ours).only(304).rate, b=lambda: load.run(theirs).only(200).rate,
    )  # fmt: skip


def _resident(pid: int) -> float:
    """Megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6

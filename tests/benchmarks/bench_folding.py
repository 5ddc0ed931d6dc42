"""The effect of a fold of 50,000 records on reads at the same time, over HTTP against ``crm serve``."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from benchmarks.frame import Measurement
from crm_core.control import client as control

CRM = Path(sys.executable).parent / "crm"
RECORDS, BATCH = 50_000, 500
READERS = 4
BASE = "/i/eu1/t/north/api/v1/customers"


@dataclass
class Server:
    """A running server, and ways to talk to it."""

    port: int
    tenants: Path
    token: str

    def connection(self) -> http.client.HTTPConnection:
        """A connection of one's own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def send(self, peer: http.client.HTTPConnection, method: str, path: str, value: object = None) -> bytes:
        """One request; its answer's body."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        peer.request(method, path, None if value is None else json.dumps(value), headers)
        answer = peer.getresponse()
        body = answer.read()
        assert answer.status < 300, body
        return body


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """``crm serve`` on a new instance with one tenant."""
    config = folder / "config"
    environ = {**os.environ, "CRM_SECRET_KEY": "k" * 40, "CRM_CONFIG": str(config)}

    def crm(*words: str) -> str:
        return subprocess.run([CRM, *words], env=environ, capture_output=True, check=True, text=True).stdout

    crm("init", "--instance", "eu1", "--tenant", "north")
    settings = config / "instance.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("127.0.0.1:8000", "127.0.0.1:0"), encoding="utf-8")
    scopes = ("--scope", "customers:read", "--scope", "customers:write")
    token = crm("token", "create", "--tenant", "north", *scopes).split()[0]
    with subprocess.Popen([CRM, "serve"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        address = next(word for word in process.stdout.readline().decode().split() if word.startswith("http"))
        try:
            yield Server(int(address.rpartition(":")[2]), folder / "tenants", token)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def fill(server: Server) -> list[str]:
    """Make the records over the API; the addresses of some."""
    peer, ids = server.connection(), []
    for start in range(0, RECORDS, BATCH):
        items = [
            {
                "external_id": f"c{number}", "name": f"Customer {number}", "email": f"c{number}@example.com",
                "company": f"Company {number % 997}", "notes": "n" * 140,
            }
            for number in range(start, start + BATCH)
        ]  # fmt: skip
        results = json.loads(server.send(peer, "POST", f"{BASE}/batch", {"items": items}))["results"]
        ids.append(results[0]["id"])
    peer.close()
    return [f"{BASE}/{id_}" for id_ in ids]


def reading(server: Server, paths: list[str], until: Callable[[], bool]) -> list[float]:
    """Milliseconds of each GET of a reader that continues until it is stopped."""
    peer, took = server.connection(), []
    server.send(peer, "GET", paths[0])
    while not until():
        began = time.perf_counter()
        server.send(peer, "GET", paths[len(took) % len(paths)])
        took.append((time.perf_counter() - began) * 1000)
    peer.close()
    return took


def p99(server: Server, paths: list[str], meanwhile: Callable[[], None]) -> float:
    """The 99th percentile of the GETs of several readers while something continues, in milliseconds."""
    over: list[bool] = []
    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(reading, server, paths, lambda: bool(over)) for _ in range(READERS)]
        try:
            meanwhile()
        finally:
            over.append(True)
        took = [each for reader in readers for each in reader.result()]
    return quantiles(took, n=100)[98]


def fold(server: Server, paths: list[str]) -> float:
    """Fold everything after one write; how long that takes, in seconds."""
    peer = server.connection()
    server.send(peer, "PATCH", paths[0], {"notes": f"{time.monotonic_ns()}"})
    peer.close()
    began = time.perf_counter()
    (done,) = control.stream(server.tenants, "store.fold", {"tenants": ["north"]})
    assert not done["refused"], done
    return time.perf_counter() - began


def measurements(folder: Path) -> Iterator[Measurement]:
    """GETs while folding against GETs while nothing else happens."""
    with serving(folder) as server:
        paths = fill(server)
        yield Measurement(
            name="folding.seconds", what=f"a fold of {RECORDS:,} records while no one reads", unit=" s",
            a=lambda: fold(server, paths), rounds=3,
        )  # fmt: skip

        def folding() -> None:
            for _ in range(3):
                fold(server, paths)

        yield Measurement(
            name="folding.p99", what=f"p99 of GETs of {READERS} readers during folds above that without", unit=" ms",
            a=lambda: p99(server, paths, folding), b=lambda: p99(server, paths, lambda: time.sleep(1.5)),
            compare="difference", most=20, rounds=5,
        )  # fmt: skip

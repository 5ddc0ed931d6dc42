"""A client in a process of its own: keeps connections busy with requests made beforehand and reports the outcome.

``python -m benchmarks.load`` reads a pickled Job from standard input and prints a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import uvloop

_ENV: Final = {"PYTHONPATH": "tests"}


@dataclass(frozen=True)
class Job:
    """Requests as raw bytes, a list for each connection; ``seconds`` given: round and round until time is up."""

    port: int
    connections: list[list[bytes]]
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job: requests per second, latencies in milliseconds, statuses by how often they came."""

    rate: float
    p50: float
    p99: float
    statuses: dict[int, int] = field(default_factory=dict)

    def only(self, *wanted: int) -> Outcome:
        """The same, or AssertionError where another status came."""
        assert set(self.statuses) <= set(wanted), self.statuses
        return self


def run(job: Job) -> Outcome:
    """Do a job in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], input=pickle.dumps(job), capture_output=True, check=True
    )
    reported = json.loads(done.stdout)
    return Outcome(
        reported["rate"], reported["p50"], reported["p99"], {int(k): v for k, v in reported["statuses"].items()}
    )


class _Connection(asyncio.Protocol):
    """One request after the other; an answer ends after its Content-Length (none: no body)."""

    def __init__(self, requests: list[bytes], deadline: float | None, done: asyncio.Future[None]) -> None:
        self._requests, self._deadline, self._done = requests, deadline, done
        self._next = 0
        self._buffer = b""
        self._began = 0.0
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        over = self._deadline is not None and time.perf_counter() >= self._deadline
        if over or (self._deadline is None and self._next == len(self._requests)):
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        status = int(head[9:12])
        fields = head.lower()
        at = fields.find(b"content-length:")
        length = int(fields[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 and status != 304 else 0
        if at < 0 and b"transfer-encoding: chunked" in fields:
            if not rest.endswith(b"0\r\n\r\n"):
                return
        elif len(rest) < length:
            return
        self._buffer = b""
        self.statuses[status] += 1
        self.latencies.append(time.perf_counter() - self._began)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server closed the connection"))


async def _main(job: Job) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    deadline = None if job.seconds is None else began + job.seconds
    connections: list[_Connection] = []
    ends: list[asyncio.Future[None]] = []
    for requests in job.connections:
        done: asyncio.Future[None] = loop.create_future()
        connection = _Connection(requests, deadline, done)
        connections.append(connection)
        ends.append(done)
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", job.port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    seconds = time.perf_counter() - began
    latencies = sorted(each for connection in connections for each in connection.latencies)
    statuses = sum((connection.statuses for connection in connections), Counter())
    return {
        "rate": len(latencies) / seconds,
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[int(len(latencies) * 0.99)] * 1000,
        "statuses": statuses,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(_main(pickle.loads(sys.stdin.buffer.read())))))

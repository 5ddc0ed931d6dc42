"""A client in its own process: keeps connections busy with requests made beforehand and reports the outcome.

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
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.frame import Figure
from benchmarks.serving import off_the_measured_core

_ENV: Final = {"PYTHONPATH": "tests"}


@dataclass(frozen=True)
class Job:
    """Requests as raw bytes, a list for each connection; ``seconds`` given: round and round until time is up.

    ``pace`` given: an open loop. So many requests a second are due, each once, and go out on a free connection; a
    latency counts from when its request was due, so requests that queue count as their senders feel them.
    """

    port: int
    connections: list[list[bytes]]
    seconds: float | None = None
    pace: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job: requests per second, latencies in milliseconds, statuses by how often they came.

    ``cpu``: seconds of processor time that the server took for each request, if its process was given.
    """

    rate: float
    p50: float
    p99: float
    statuses: dict[int, int] = field(default_factory=dict)
    cpu: float | None = None

    def only(self, *wanted: int) -> Outcome:
        """The same, or AssertionError where another status came."""
        assert set(self.statuses) <= set(wanted), self.statuses
        return self

    @property
    def figure(self) -> Figure:
        """The rate with the server's processor time."""
        return Figure(self.rate, self.cpu)


def run(job: Job, server: int | None = None) -> Outcome:
    """Do a job in a new process; ``server``: the process that answers it."""
    before = spent(server)
    with off_the_measured_core():
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"], input=pickle.dumps(job), capture_output=True, check=True
        )
    reported = json.loads(done.stdout)
    statuses = {int(k): v for k, v in reported["statuses"].items()}
    cpu = None if server is None else (spent(server) - before) / sum(statuses.values())
    return Outcome(reported["rate"], reported["p50"], reported["p99"], statuses, cpu)


def spent(process: int | None) -> float:
    """Seconds of processor time that all threads of a process have used."""
    if process is None:
        return 0.0
    files = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


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


class _Paced(asyncio.Protocol):
    """A connection of an open loop: free, or waiting for one answer."""

    def __init__(self, pacer: _Pacer) -> None:
        self._pacer = pacer
        self._buffer = b""
        self._due = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        status = complete(self._buffer)
        if status:
            self._buffer = b""
            self._pacer.answered(self, status, time.perf_counter() - self._due)

    def close(self) -> None:
        self._transport.close()


class _Pacer:
    """Sends each request when it is due, on whichever connection is free first."""

    def __init__(self, requests: list[bytes], pace: float) -> None:
        self._requests, self._pace = requests, pace
        self._loop = asyncio.get_running_loop()
        self._next = 0
        self._free: list[_Paced] = []
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.done: asyncio.Future[None] = self._loop.create_future()

    def start(self, connections: list[_Paced]) -> None:
        self._free, self._began = connections, time.perf_counter()
        self._send()

    def _send(self) -> None:
        while self._free and self._next < len(self._requests):
            due = self._began + self._next / self._pace
            wait = due - time.perf_counter()
            if wait > 0:  # timers count whole milliseconds, in which several requests may be due
                self._loop.call_soon(self._send)
                return
            self._free.pop().ask(self._requests[self._next], due)
            self._next += 1

    def answered(self, connection: _Paced, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(seconds)
        self._free.append(connection)
        if len(self.latencies) == len(self._requests):
            self.done.set_result(None)
        elif len(self._free) == 1:  # none was free before: requests may be overdue
            self._send()


def complete(answer: bytes) -> int:
    """The status of an answer that has arrived whole, by its Content-Length; 0 if more must come."""
    head, found, rest = answer.partition(b"\r\n\r\n")
    fields = head.lower()
    at = fields.find(b"content-length:")
    if not found or (at >= 0 and len(rest) < int(fields[at + 15 :].split(b"\r\n", 1)[0])):
        return 0
    return int(head[9:12])


async def _paced(job: Job, pace: float) -> dict[str, Any]:
    requests = [request for several in zip(*job.connections, strict=True) for request in several]
    pacer, connections = _Pacer(requests, pace), []
    for _ in job.connections:
        _, connection = await asyncio.get_running_loop().create_connection(lambda: _Paced(pacer), "127.0.0.1", job.port)
        connections.append(connection)
    pacer.start(list(connections))
    began = time.perf_counter()
    await pacer.done
    seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return _reported(pacer.latencies, pacer.statuses, seconds)


def _reported(latencies: list[float], statuses: Counter[int], seconds: float) -> dict[str, Any]:
    latencies = sorted(latencies)
    return {
        "rate": len(latencies) / seconds,
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[int(len(latencies) * 0.99)] * 1000,
        "statuses": statuses,
    }


async def _main(job: Job) -> dict[str, Any]:
    if job.pace is not None:
        return await _paced(job, job.pace)
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
    latencies = [each for connection in connections for each in connection.latencies]
    return _reported(latencies, sum((connection.statuses for connection in connections), Counter()), seconds)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(_main(pickle.loads(sys.stdin.buffer.read())))))

"""The memory that a request and an event stream use while they wait for a change."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from served import Instance, instance

TOKENS, EACH = 10, 20  # as many as may wait in a tenant
WAITING = TOKENS * EACH
KINDS = ("events", "changes?wait=30")
MOST = 4096  # bytes
CLIENT = """
import json, socket, sys
address, requests = json.loads(sys.stdin.readline())
clients = [socket.create_connection(address) for _ in requests]
for client, (idle, _, _) in zip(clients, requests):
    client.sendall(idle.encode())
    if b" 200 " not in client.recv(65536)[:20]:
        sys.exit("refused")
while True:
    print("sent", flush=True)
    kind = sys.stdin.readline().strip()
    for client, (_, waits, which) in zip(clients, requests):
        if which == kind:
            client.sendall(waits.encode())
"""


def resident() -> int:
    """Bytes of memory that this process uses."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _requests(served: Instance) -> list[tuple[str, str, str]]:
    """For each client the text of a request that is answered, of one that waits, and its kind."""
    found = []
    for number, kind in enumerate(KINDS):
        tenant = f"t{number}"
        await served.services.backend.create(tenant)
        base = urlsplit(served.base(tenant)).path
        for _ in range(TOKENS):
            fields = f"Host: localhost\r\nAuthorization: Bearer {await served.token(tenant=tenant)}\r\n\r\n"
            start, end = f"GET {base}", f" HTTP/1.1\r\n{fields}"
            found += [(f"{start}bootstrap{end}", f"{start}{kind}{end}", kind)] * EACH
    return found


async def _open_streams(served: Instance, number: int) -> None:
    while served.services.feeds.open_streams != number:  # noqa: ASYNC110 -- without a callback for each
        await asyncio.sleep(0.05)


async def test_waiting_adds_little_to_a_connection(tmp_path: Path) -> None:
    """A waiting request and an open stream each add less than 4 KB to an idle connection, and end with their client."""
    async with instance(tmp_path) as served:
        address = urlsplit(served.url)
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert client.stdin is not None
        assert client.stdout is not None
        job = [(address.hostname, address.port), await _requests(served)]
        client.stdin.write(json.dumps(job).encode() + b"\n")
        assert await client.stdout.readline() == b"sent\n"
        async with served.client() as visitor:  # the pages load now, not while memory is measured
            assert (await visitor.get(f"{served.url}/i/eu1/t/northwind/login")).status_code == 200
        costs, waiting = {}, 0
        async with asyncio.timeout(30):
            for kind in KINDS:
                before = resident()
                client.stdin.write(f"{kind}\n".encode())
                assert await client.stdout.readline() == b"sent\n"
                waiting += WAITING
                await _open_streams(served, waiting)
                await asyncio.sleep(0.5)
                costs[kind] = (resident() - before) // (WAITING)
            client.kill()
            await client.wait()
            await _open_streams(served, 0)
    assert max(costs.values()) < MOST, costs

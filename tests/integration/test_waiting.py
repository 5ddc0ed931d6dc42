"""The memory that a request uses while it waits for a change."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from served import Instance, instance

TENANTS, TOKENS, EACH = 3, 10, 20  # as many as may wait
WAITING = TENANTS * TOKENS * EACH
MOST = 4096  # bytes
CLIENT = """
import json, socket, sys
address, requests = json.loads(sys.stdin.readline())
clients = [socket.create_connection(address) for _ in requests]
for answered in (True, False):
    for client, (idle, waits) in zip(clients, requests):
        client.sendall((idle if answered else waits).encode())
        if answered and b" 200 " not in client.recv(65536)[:20]:
            sys.exit("refused")
    print("sent", flush=True)
    sys.stdin.readline()
"""


def resident() -> int:
    """Bytes of memory that this process uses."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _requests(served: Instance) -> list[tuple[str, str]]:
    """For each client the text of a request that is answered, and of one that waits."""
    found = []
    for tenant in (f"t{number}" for number in range(TENANTS)):
        await served.services.backend.create(tenant)
        base = urlsplit(served.base(tenant)).path
        for _ in range(TOKENS):
            fields = f"Host: localhost\r\nAuthorization: Bearer {await served.token(tenant=tenant)}\r\n\r\n"
            start, end = f"GET {base}", f" HTTP/1.1\r\n{fields}"
            found += [(f"{start}bootstrap{end}", f"{start}changes?wait=30{end}")] * EACH
    return found


async def _open_streams(served: Instance, number: int) -> None:
    while served.services.feeds.open_streams != number:  # noqa: ASYNC110 -- without a callback for each
        await asyncio.sleep(0.05)


async def test_a_waiting_request_adds_little_to_its_connection(tmp_path: Path) -> None:
    """Waiting adds less than 4 KB to what an idle connection costs; clients that leave wait no longer."""
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
        before = resident()
        client.stdin.write(b"\n")
        assert await client.stdout.readline() == b"sent\n"
        async with asyncio.timeout(30):
            await _open_streams(served, WAITING)
            await asyncio.sleep(0.5)
            cost = (resident() - before) / WAITING
            client.kill()
            await client.wait()
            await _open_streams(served, 0)
    assert cost < MOST, f"{cost:.0f} bytes"

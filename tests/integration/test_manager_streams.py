from __future__ import annotations

import asyncio
import resource
from pathlib import Path

from fronts.processes import manager
from fronts.standin import Seen, upstream

STREAMS = 100
FILES = 120
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def resident(pid: int) -> int:
    """Bytes of resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def test_a_hundred_event_streams(tmp_path: Path) -> None:
    """Each of 100 event streams begins before it has more to say, every event reaches all, and memory hardly grows."""
    writers: list[asyncio.StreamWriter] = []
    end = asyncio.Event()

    async def events(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"d\r\nevent: hello\n\r\n")
        writers.append(writer)
        await end.wait()
        writer.write(b"0\r\n\r\n")

    async with upstream(events) as eu:
        with manager(tmp_path, {"eu1": [eu.address]}) as running:
            before = await asyncio.to_thread(resident, running.pid)
            clients = []
            for _ in range(STREAMS):
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
                writer.write(b"GET /i/eu1/t/n/api/v1/events HTTP/1.1\r\nHost: h\r\n\r\n")
                await asyncio.wait_for(reader.readuntil(b"hello"), 20)
                clients.append((reader, writer))
            for number in range(50):
                for each in writers:
                    each.write(b"c8\r\n" + b"%03d" % number + b"x" * 197 + b"\r\n")
                await asyncio.sleep(0)
            for reader, _ in clients:
                await asyncio.wait_for(reader.readuntil(b"049x"), 20)
            grown = await asyncio.to_thread(resident, running.pid) - before
            end.set()
            for _, writer in clients:
                writer.close()
    assert grown < 30e6, grown


async def test_busy_clients_leave_files_for_their_upstreams(tmp_path: Path) -> None:
    """As many streams are served as it may have connections; a further one is 503, and no fault of the upstream."""

    async def events(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await end.wait()

    end = asyncio.Event()
    async with upstream(events) as eu:
        with manager(tmp_path, {"eu1": [eu.address]}, files=FILES) as running:
            clients = []
            for number in range(FILES // 3 + 1):
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
                clients.append(writer)
                writer.write(b"GET /i/eu1/t/n/api/v1/events HTTP/1.1\r\nHost: h\r\n\r\n")
                status = b"200" if number < FILES // 3 else b"503"
                assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == status
            end.set()
            for writer in clients:
                writer.close()
    assert "upstream_down" not in running.program.written()

"""Things that are measured in their own process: ``python -m benchmarks.measured WHAT FOLDER ...``.

Prints one JSON object of figures.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import uvloop

from benchmarks.serving import CONNECTIONS, Product, configured, environ, pushes
from benchmarks.store import NOW, record
from crm_core.plugin.storage import EntryQuery, StorageContext, Unit
from crm_tinydb.storage import TinyDBBackend


def reported(*words: str) -> dict[str, float]:
    """The output of this module when it is run with these words, in its own process."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.measured", *words], capture_output=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def opening(folder: Path, tenant: str) -> dict[str, float]:
    """Open a tenant and read a record and a page."""
    before, began = resident(), time.perf_counter()
    store = TinyDBBackend()
    await store.open(StorageContext(folder))
    assert (await store.get(tenant, "customers", record(7).id)).document is not None
    seconds = time.perf_counter() - began
    gc.collect()
    figures = {"seconds": seconds, "bytes": resident() - before}
    assert (await store.state(tenant)).mode == "ok"
    await store.close()
    return figures


async def many(folder: Path, last: str) -> dict[str, float]:
    """Touch tenants in turn; all but the last few hundred are closed again by the store itself."""
    store, count = TinyDBBackend(), int(last)
    await store.open(StorageContext(folder))
    await store.create("first")
    await store.close()
    for number in range(count):
        shutil.copytree(folder / "first", folder / f"t{number}")
    await store.open(StorageContext(folder))
    after = []
    for number in range(count):
        await store.commit(f"t{number}", Unit(now=NOW, puts=tuple(record(n) for n in range(20))))
        if number in {count // 4, count - 1}:
            gc.collect()
            after.append((resident(), sum(1 for _ in Path("/proc/self/fd").iterdir())))
    await store.close()
    return {"bytes": after[1][0] - after[0][0], "files": after[1][1] - after[0][1]}


async def paging(folder: Path, tenant: str) -> dict[str, float]:
    """Read a tenant's whole log, page by page."""
    before = resident()
    store = TinyDBBackend()
    await store.open(StorageContext(folder))
    after, seen = None, 0
    while page := await store.entries(tenant, EntryQuery(after=after, limit=5000)):
        after, seen = page[-1].id, seen + len(page)
    gc.collect()
    figures = {"bytes": resident() - before, "entries": seen}
    await store.close()
    return figures


async def turn(folder: Path, _: str) -> dict[str, float]:
    """Send a push on each connection at the same time; the processor time of the loop's longest turn."""
    from crm_core.compose import application, clock, open_backend
    from crm_core.server.serve import serve
    from crm_core.services import Services
    from crm_core.settings.configuration import Configuration
    from crm_core.settings.installation import install

    tenants = [f"tenant-{number}" for number in range(CONNECTIONS)]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config, port = configured(folder, tenants)
    os.environ.update(environ())
    installation = install(config, os.environ)
    backend = await open_backend(installation)
    services, ready = Services(installation, backend, Configuration(installation, clock), clock), asyncio.Event()
    app = application(services)
    serving = asyncio.create_task(
        serve(app, listen=f"127.0.0.1:{port}", ready=lambda _: ready.set(), lifespan=app.serving())
    )
    await ready.wait()
    lines = pushes(Product(port, 0, config), tenants, count(1), 12)
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in lines]
    longest = 0.0
    for number, requests in enumerate(zip(*lines, strict=True)):
        for (_reader, writer), request in zip(clients, requests, strict=True):
            writer.write(request)
        answers = asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in clients))
        last = time.thread_time()
        while not answers.done():  # each pass through here is one turn of the loop
            await asyncio.sleep(0)
            now = time.thread_time()
            if number:  # the first opens the tenants
                longest = max(longest, now - last)
            last = now
        assert all(b" 200 " in head for head in await answers)
        for reader, _ in clients:
            reader._buffer.clear()  # type: ignore[attr-defined]  # the body is of no interest
    serving.cancel()
    await asyncio.wait({serving})
    await backend.close()
    return {"milliseconds": longest * 1000}


def main() -> None:
    """Measure one thing."""
    what, folder, last = sys.argv[1:4]
    works = {"open": opening, "memory": opening, "log": paging, "tenants": many, "turn": turn}
    run = uvloop.run if what == "turn" else asyncio.run
    json.dump(run(works[what](Path(folder), last)), sys.stdout)


if __name__ == "__main__":
    main()

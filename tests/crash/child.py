"""The child that gets killed: mixed commits, folds and backups. It prints each answered commit.

Before each dangerous step it writes a character to a shared page of memory, so that the parent knows where the kill
struck: ``w`` between a write and its sync, ``f`` in a fold, ``b`` in a backup.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import random
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from crm_core.plugin.storage import Claim, Committed, StorageBackend, StorageContext, Unit
from crm_core.testing.storage import entry, put
from crm_tinydb.disk import RealDisk
from crm_tinydb.storage import TinyDBBackend


class MarkedDisk(RealDisk):
    """The real disk, marking when bytes are written but not synced: a durable write is a write and a sync here."""

    def __init__(self, page: mmap.mmap) -> None:
        super().__init__()
        self._page = page
        self._durable: set[int] = set()

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, durable: bool = False) -> int:
        handle = super().open(path, create=create, exclusive=exclusive)
        if durable:
            self._durable.add(handle)
        return handle

    def write(self, handle: int, data: bytes) -> int:
        written = super().write(handle, data)
        self._page[0:1] = b"w"
        if handle in self._durable:
            self.sync(handle)
        return written

    def close(self, handle: int) -> None:
        self._durable.discard(handle)
        super().close(handle)

    def sync(self, handle: int) -> None:
        super().sync(handle)
        self._page[0:1] = b"-"


async def write(store: StorageBackend, start: int, worker: int) -> None:
    """Every second worker pushes, the others write records; each unit also rewrites its worker's document."""
    pushes = worker % 2 == 0
    number = 0
    while True:
        number += 1
        name = f"{'push' if pushes else 'record'}-{start}-{worker}-{number}"
        puts = (put(name, {"n": name}, {"name": name}), put(f"hot{worker}", {"n": name}))
        unit = Unit(
            now=1,
            claims=(Claim("nonce", name, b"{}"),),
            puts=(*puts, put("branding", {"n": name}, collection="sections")) if pushes else puts,
            entries=(entry(start + number, nonce=name),) if pushes else (),
            revises=pushes,
        )
        outcome = await store.commit("north", unit)
        assert isinstance(outcome, Committed)
        sys.stdout.write(f"{outcome.seq} {name}\n")
        sys.stdout.flush()


async def run(tenants_dir: Path, page: mmap.mmap, seed: int) -> None:
    chance = random.Random(seed)
    store = TinyDBBackend(MarkedDisk(page))
    await store.open(StorageContext(tenants_dir))
    if not await store.has("north"):
        await store.create("north")
    start = (await store.view("north", None)).seq

    async def maintain() -> None:
        number = 0
        while True:
            await asyncio.sleep(chance.random() / 50)
            page[1:2] = b"f"
            await store.fold("north")
            page[1:2] = b"-"
            if chance.random() < 0.2:
                number += 1
                page[2:3] = b"b"
                await store.backup("north", tenants_dir.parent / f"backup-{start}-{number}")
                page[2:3] = b"-"
            store.note("north", entry(number, signature_result="invalid"))

    await asyncio.gather(maintain(), *(write(store, start, worker) for worker in range(8)))


def write_until_killed(report: Connection, tenants_dir: Path, page: Path, seed: int) -> None:
    """Standard output is the report."""
    os.dup2(report.fileno(), sys.stdout.fileno())
    with page.open("r+b") as shared:
        asyncio.run(run(tenants_dir, mmap.mmap(shared.fileno(), 16), seed))

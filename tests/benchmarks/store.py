"""A store to measure: its own event loop, filled tenants, and the shape of a record."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from crm_core.plugin.storage import IndexValue, Put, StorageContext, Unit
from crm_tinydb.storage import TinyDBBackend

T = TypeVar("T")
NOW = 1_800_000_000
STATUSES = ("lead", "active", "inactive")


def record(number: int, revision: int = 0) -> Put:
    """A customer of about half a kilobyte with the indexes that the record API would declare."""
    drawn = number * 2_654_435_761 >> 8  # looks like chance, and is the same each time
    name = f"Customer {drawn % 1_000_003:07d}"
    email = f"c{number}@example.com"
    created = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    updated = created if revision == 0 else f"2027-01-01T00:00:00.{revision:06d}Z"
    status, company = STATUSES[drawn % 3], f"Company {drawn % 997}"
    tags = ("vip",) if drawn % 50 == 0 else ()
    body = {
        "id": f"0190-{number:08d}", "external_id": f"ext-{number}", "name": name, "email": email,
        "phone": "+49 30 1234567", "company": company, "status": status,
        "tags": tags, "owner": None, "notes": f"{revision:04d} " + "n" * 140,
        "address": {"line1": "Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE"},
        "custom": {}, "created_at": created, "updated_at": updated, "revision": revision,
    }  # fmt: skip
    indexes: dict[str, IndexValue] = {
        "external_id": f"ext-{number}", "name": name, "company": company, "status": status, "tags": tags,
        "created_at": created, "updated_at": updated,
    }  # fmt: skip
    return Put("customers", f"0190-{number:08d}", msgspec.json.encode(body), indexes)


class Bench:
    """An open store and the loop it lives on; ``tenants`` are made by ``filled``."""

    def __init__(self, home: Path, **options: object) -> None:
        self.store = TinyDBBackend()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.run(self.store.open(StorageContext(home, options)))

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Wait for one coroutine on the store's loop."""
        return self._runner.run(work)

    def close(self) -> None:
        """Close the store and the loop."""
        self.run(self.store.close())
        self._runner.close()

    def filled(self, tenant: str, records: int) -> str:
        """A tenant with that many records, folded."""

        async def fill() -> None:
            await self.store.create(tenant)
            for start in range(0, records, 500):
                puts = tuple(record(number) for number in range(start, min(start + 500, records)))
                await self.store.commit(tenant, Unit(now=NOW, puts=puts))
            await self.store.fold(tenant)

        self.run(fill())
        return tenant

    def settle(self) -> None:
        """Take what is in memory out of the garbage collector's rounds, as the server does once it is up."""
        gc.collect()
        gc.freeze()

    def per_second(self, count: int, work: Callable[[int], Awaitable[object]]) -> float:
        """How many times a second ``work`` can be awaited, one after the other."""

        async def timed() -> float:
            began = time.perf_counter()
            for number in range(count):
                await work(number)
            return count / (time.perf_counter() - began)

        return self.run(timed())

    def seconds(self, count: int, work: Callable[[int], Awaitable[object]]) -> float:
        """How long one ``work`` takes."""
        return 1 / self.per_second(count, work)


@contextmanager
def bench(home: Path, **options: object) -> Iterator[Bench]:
    """An open store in a folder."""
    opened = Bench(home, **options)
    try:
        yield opened
    finally:
        opened.close()

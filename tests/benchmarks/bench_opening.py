"""What it takes to open a tenant: time from cold, time after a kill, memory for a record, memory for many tenants."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.frame import Measurement, Side
from benchmarks.measured import reported
from benchmarks.store import NOW, Bench, bench, record
from crm_core.plugin.storage import Unit

RECORDS = 50_000
TENANTS = 2_000
KILOBYTE = 1024


def opened_in(folder: Path, tenant: str) -> Side:
    """Seconds from nothing to the first answer, in a process that has done nothing else."""

    def side() -> float:
        return float(reported("open", str(folder), tenant)["seconds"])

    return side


def full_journal(opened: Bench, folder: Path, target: Path) -> None:
    """Write until the next commit would fold, and copy the folder as a kill would leave it."""
    numbers = count()
    tenant = opened.store.open_tenants.find_open("north")
    assert tenant is not None

    async def write() -> None:
        units = [Unit(now=NOW, puts=(record(next(numbers), 1),)) for _ in range(200)]
        await asyncio.gather(*(opened.store.commit("north", unit) for unit in units))

    journal = tenant.group_commit.journal
    while journal is not None and journal.length < 0.97 * tenant.fold_at:
        opened.run(write())
    shutil.copytree(folder / "north", target / "north")


def measurements(folder: Path) -> Iterator[Measurement]:
    """Opening, and what stays in memory."""
    home, killed = folder / "tenants", folder / "killed"
    with bench(home) as opened:
        opened.filled("north", RECORDS)
    yield Measurement(
        name="opening.cold", what=f"seconds to open {RECORDS:,} records and read one", unit=" s",
        a=opened_in(home, "north"), most=0.6, rounds=5,
    )  # fmt: skip
    with bench(home) as opened:
        opened.run(opened.store.view("north", None))
        full_journal(opened, home, killed)
    yield Measurement(
        name="opening.killed", what="the same with a journal that is full, as a kill leaves it", unit=" s",
        a=opened_in(killed, "north"), most=1, rounds=5,
    )  # fmt: skip
    size = len(record(0).body)
    yield Measurement(
        name="opening.memory", what=f"memory for each of {RECORDS:,} records of {size} B", unit=" B",
        a=lambda: reported("memory", str(home), "north")["bytes"] / RECORDS, most=3 * KILOBYTE, rounds=3, warm=0,
    )  # fmt: skip
    touched: dict[str, float] = {}

    def grown(what: str) -> float:
        if not touched:
            touched.update(reported("tenants", str(folder / "many"), str(TENANTS)))
        return touched[what]

    what = f"that {TENANTS:,} tenants touched in turn take more than {TENANTS // 4} do"
    yield Measurement(
        name="opening.tenants", what=f"memory {what}", unit=" MiB",
        a=lambda: grown("bytes") / KILOBYTE**2, most=16, rounds=1, warm=0,
    )  # fmt: skip
    yield Measurement(
        name="opening.files", what=f"open files {what}", a=lambda: grown("files"), most=4, rounds=1, warm=0
    )

"""The sync log at 200,000 entries: pages, filters, and what stays in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame import Measurement, Side
from benchmarks.measured import reported
from benchmarks.store import NOW, Bench, bench
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import EntryQuery, Unit
from crm_core.testing.storage import entry

ENTRIES, UNIT = 200_000, 50
MEBIBYTE = 1 << 20


def written(opened: Bench) -> None:
    """A chain of that many entries: one in a hundred refused, keys and sources as in life."""

    async def write() -> None:
        await opened.store.create("north")
        for start in range(0, ENTRIES, UNIT * 20):
            await asyncio.gather(
                *(opened.store.commit("north", unit(at)) for at in range(start, start + UNIT * 20, UNIT))
            )
        await opened.store.fold("north")

    def unit(start: int) -> Unit:
        return Unit(now=NOW, entries=tuple(one(number) for number in range(start, start + UNIT)))

    def one(number: int) -> LogEntry:
        return entry(
            number, payload_type=("branding", "features", "smtp")[number % 3], key_version=1 + number // 50_000,
            status="rejected" if number % 100 == 0 else "applied", source_ip=f"10.0.0.{number % 250}",
            payload_sha256=f"{number:064x}", payload_version=number, duration_ms=7, revision=number,
        )  # fmt: skip

    opened.run(write())


def asking(opened: Bench, **query: object) -> Side:
    """Milliseconds of one page."""
    asked = EntryQuery(**query)  # type: ignore[arg-type]
    return lambda: opened.seconds(1, lambda _: opened.store.entries("north", asked)) * 1000


def measurements(folder: Path) -> Iterator[Measurement]:
    """Pages of a long log."""
    home = folder / "tenants"
    with bench(home) as opened:
        written(opened)
    with bench(home) as opened:
        opened.run(opened.store.view("north", None))
        opened.settle()
        rows = {
            "first": ("the first page", {}),
            "middle": ("a page from the middle", {"after": entry(ENTRIES // 2).id}),
            "common": ("a page of a common type", {"equals": (("payload_type", "smtp"),)}),
            "rare": ("the oldest entry by its nonce", {"equals": (("nonce", "nonce-7"),)}),
        }
        for name, (what, query) in rows.items():
            yield Measurement(
                name=f"log.{name}", what=f"{what} of {ENTRIES:,} entries", a=asking(opened, **query), unit=" ms",
                most=None if name == "rare" else 50, rounds=5,
            )  # fmt: skip
        yield Measurement(
            name="log.tally", what="counts for health", unit=" ms", most=50, rounds=5,
            a=lambda: opened.seconds(1, lambda _: opened.store.tally("north", entry(ENTRIES - 500).received_at)) * 1000,
        )  # fmt: skip
    yield Measurement(
        name="log.memory", what=f"memory of {ENTRIES:,} entries, every page of them read", unit=" MiB",
        a=lambda: reported("log", str(home), "north")["bytes"] / MEBIBYTE, most=64, rounds=1, warm=0,
    )  # fmt: skip

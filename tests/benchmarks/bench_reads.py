"""The cost of a tenant's size: the same call at 50,000 records and at 1,000."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import msgspec

from benchmarks.frame import Measurement, Side
from benchmarks.store import NOW, Bench, bench, record
from crm_core.plugin.storage import Claim, PageQuery, Put, Unit, WorkspaceAt
from crm_core.testing.storage import entry

Work = Callable[[str, int], Awaitable[object]]
SMALL, LARGE = 1_000, 50_000
ASKED = 200  # different records
BODY = msgspec.json.encode({"title": "Northwind", "colors": {"primary": "#102030"}})


def sides(opened: Bench, work: Work, times: int) -> dict[str, Side]:
    """Microseconds for one call on the large tenant and on the small.

    Each side requests the same number of records from all over the tenant: with all 50,000 in turn the processor's
    cache would be measured, not the store.
    """
    numbers = count()

    def side(tenant: str, size: int) -> Side:
        async def one(_: int) -> None:
            await work(tenant, next(numbers) % ASKED * (size // ASKED))

        return lambda: opened.seconds(times, one) * 1e6

    return {"a": side("large", LARGE), "b": side("small", SMALL)}


def updating(opened: Bench) -> Work:
    """Write a record again."""
    revisions = count(1)

    async def update(tenant: str, number: int) -> None:
        await opened.store.commit(tenant, Unit(now=NOW, puts=(record(number, next(revisions)),)))

    return update


def pushing(opened: Bench) -> Work:
    """Commit what an applied push does: nonce, payload hash, section, history, log entry, a new revision."""
    numbers = count(1)

    async def push(tenant: str, _: int) -> None:
        number = next(numbers)
        name = f"{number:012d}"
        revision = (await opened.store.view(tenant, None)).revision
        unit = Unit(
            now=NOW,
            expect=(WorkspaceAt(revision),),
            claims=(Claim("nonce", name, b"{}", NOW + 600, NOW), Claim("payload", name * 5, b"{}")),
            puts=(Put("sections", "branding", BODY), Put("history", name, BODY)),
            entries=(entry(number, payload_type="branding"),),
            revises=True,
        )
        await opened.store.commit(tenant, unit)

    return push


def measurements(folder: Path) -> Iterator[Measurement]:
    """Reads, an update and a push."""
    with bench(folder / "tenants") as opened:
        store = opened.store
        opened.filled("small", SMALL)
        opened.filled("large", LARGE)
        opened.settle()

        def query(**members: object) -> Work:
            asked = PageQuery(collection="customers", **members)  # type: ignore[arg-type]
            return lambda tenant, _: store.page(tenant, asked)

        ids = [record(number).id for number in range(LARGE)]
        active = {"sort": "created_at", "filters": (("status", ("active",)),)}
        works = {
            "get": ("a record by id", lambda tenant, number: store.get(tenant, "customers", ids[number]), 2000),
            "filter": ("a page of status=active", query(**active), 200),
            "total": ("the same with its total", query(**active, total=True), 200),
            "sort": ("a page by -name", query(sort="name", descending=True), 200),
            "deep": ("a page from the middle by company", query(sort="company", after=("Company 5", "")), 200),
            "update": ("an update", updating(opened), 300),
            "push": ("a push", pushing(opened), 300),
        }
        for name, (words, work, times) in works.items():
            yield Measurement(
                name=f"reads.{name}", what=f"{words}, {LARGE:,} records against {SMALL:,}", unit="x",
                most=1.25, goal=1.1, rounds=11, **sides(opened, work, times),
            )  # fmt: skip

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_core.errors import NotUnique, RecordArchived
from crm_core.model.record_members import Amount, Day, Line
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageContext
from crm_core.records.batch import Batch
from crm_core.records.idempotency import ReplayedRefusal, idempotent_request
from crm_core.records.preconditions import Preconditions
from crm_core.records.reindexing import reindex_of
from crm_tinydb.storage import TinyDBBackend
from records_world import TOKEN, World, read

INVOICES = {"plan": {"code": "all", "name": "All", "features": ["invoices.*"]}}
SCOPES = frozenset(f"invoices:{access}" for access in ("read", "write", "delete", "erase"))
CALLER = msgspec.structs.replace(TOKEN, scopes=SCOPES)


class Invoice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    number: Line | None = None
    total: Amount | None = None
    day: Day | None = None


class Invoices(RecordType):
    NAME = "invoices"
    TITLE = "Invoices"
    SINGULAR = "Invoice"
    RECORD = Invoice
    UNIQUE = ("number", "total", "day")


class EarlierInvoices(RecordType):
    NAME = "invoices"
    TITLE = "Invoices"
    SINGULAR = "Invoice"
    RECORD = Invoice


def with_type(registry: Registry, record_type: RecordType) -> Registry:
    owners = {**registry.owners, ("record type", "invoices"): "invoices"}
    return msgspec.structs.replace(
        registry, record_types={**registry.record_types, "invoices": record_type}, owners=owners
    )


async def opened(folder: Path, registry: Registry) -> World:
    backend = TinyDBBackend()
    await backend.open(StorageContext(folder / "tenants", reindex=reindex_of(registry)))
    return World(backend, registry, folder)


@pytest.fixture
async def invoices(tmp_path: Path, registry: Registry) -> AsyncIterator[World]:
    world = await opened(tmp_path, with_type(registry, Invoices()))
    await world.backend.create("north")
    await world.features(INVOICES)
    yield world
    await world.backend.close()


async def create(world: World, **members: Any) -> dict[str, Any]:
    access = world.access("invoices", CALLER)
    return read((await world.records.writes.create(access, {"name": "A", **members}, None)).body)


async def update(world: World, id_: str, patch: dict[str, Any]) -> dict[str, Any]:
    access = world.access("invoices", CALLER)
    return read((await world.records.writes.update(access, id_, patch, Preconditions())).body)


async def batch(world: World, *items: dict[str, Any], atomic: bool = False) -> list[dict[str, Any]]:
    sent = Batch(data={"items": list(items)}, atomic=atomic, request_id="r", instance="eu1", idempotent=None)
    results: list[dict[str, Any]] = read(
        (await world.records.batches.run(world.access("invoices", CALLER), sent)).body
    )["results"]
    return results


def pointers(error: NotUnique) -> list[str]:
    return [finding.pointer for finding in error.errors]


async def test_a_unique_value_is_had_once(invoices: World) -> None:
    """Create, update and put name every member whose value another record has; none of them repeats the value."""
    first = await create(invoices, number="R-1", total="10.00", day="2026-11-24")
    other = await create(invoices, number="R-2")
    with pytest.raises(NotUnique) as refused:
        await create(invoices, number="R-1", total="10", day="2026-11-25")
    assert pointers(refused.value) == ["/number", "/total"]
    assert refused.value.evidence == {"id": first["id"]}
    assert "R-1" not in str(refused.value.problem("r"))
    with pytest.raises(NotUnique):
        await update(invoices, other["id"], {"day": "2026-11-24"})
    access = invoices.access("invoices", CALLER)
    with pytest.raises(NotUnique):
        await invoices.records.writes.put(access, "x-1", {"name": "B", "number": "R-2"}, Preconditions())
    assert (await create(invoices))["number"] is None
    assert (await create(invoices))["number"] is None


async def test_values_are_compared_as_a_filter_compares_them(invoices: World) -> None:
    """Case, normal form and outer space do not count; accents and inner space do, and an amount is a number."""
    await create(invoices, number="RÉ-1", total="1.50")
    for same in ("ré-1", "RE\u0301-1", " rÉ-1\u200b"):
        with pytest.raises(NotUnique):
            await create(invoices, number=same)
    with pytest.raises(NotUnique):
        await create(invoices, total="1.5")
    for other in ("RE-1", "RÉ- 1"):
        await create(invoices, number=other)


async def test_a_change_frees_a_value_and_so_does_an_erase(invoices: World) -> None:
    """A record may write its own value differently; a value that it gave up is another's to have."""
    first = await create(invoices, number="R-1")
    assert (await update(invoices, first["id"], {"number": "r-1"}))["number"] == "r-1"
    await update(invoices, first["id"], {"number": "R-9"})
    second = await create(invoices, number="R-1")
    access = invoices.access("invoices", CALLER)
    await invoices.records.erasure.erase(access, second["id"], Preconditions(), cascade=False)
    assert (await create(invoices, number="R-1"))["number"] == "R-1"


async def test_an_archived_record_keeps_its_value(invoices: World) -> None:
    """No other gets it, so the restore never fails for it; the refusal says that the record is archived."""
    first, access = await create(invoices, number="R-1"), invoices.access("invoices", CALLER)
    await invoices.records.archive.archive(access, first["id"], Preconditions())
    with pytest.raises(NotUnique, match="An archived record has this `number`"):
        await create(invoices, number="R-1")
    with pytest.raises(RecordArchived):
        await update(invoices, first["id"], {"number": "R-2"})
    assert read((await invoices.records.archive.restore(access, first["id"], Preconditions())).body)["number"] == "R-1"
    with pytest.raises(NotUnique):
        await create(invoices, number="R-1")


async def test_of_many_concurrent_writers_one_has_the_value(invoices: World) -> None:
    """Creates and updates race for one value: a single one gets it, and the others are refused."""
    others = [await create(invoices) for _ in range(5)]
    writes: Iterable[Any] = [
        *(create(invoices, number="R-1") for _ in range(10)),
        *(update(invoices, other["id"], {"number": "r-1"}) for other in others),
    ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["NotUnique"] * 14 + ["dict"]


async def test_a_batch_gives_a_value_once(invoices: World) -> None:
    """The second item with a value is refused, one that was refused itself takes none, and atomic writes nothing."""
    await create(invoices, number="R-1")
    items = [
        {"name": "", "number": "R-2"},
        {"name": "B", "number": "R-2"},
        {"name": "C", "number": "r-2"},
        {"name": "D", "number": "R-1"},
        {"name": "E"},
        {"name": "F"},
    ]
    results = await batch(invoices, *items)
    assert [result["status"] for result in results] == [422, 201, 409, 409, 201, 201]
    problems = [result["problem"] for result in results[2:4]]
    assert [(one["code"], one["errors"][0]["pointer"]) for one in problems] == [
        ("not_unique", "/items/2/number"),
        ("not_unique", "/items/3/number"),
    ]
    assert "Item 1 of this batch" in problems[0]["detail"]
    with pytest.raises(NotUnique):
        await batch(invoices, {"name": "G", "number": "R-7"}, {"name": "H", "number": "R-7"}, atomic=True)
    assert (await create(invoices, number="R-7"))["number"] == "R-7"


async def test_a_refusal_is_the_same_when_it_is_repeated(invoices: World) -> None:
    """A repeat with the same idempotency key gets the refusal, after the value is free too."""
    first, access = await create(invoices, number="R-1"), invoices.access("invoices", CALLER)
    key = idempotent_request("k1", CALLER, "/invoices", b"body")
    with pytest.raises(NotUnique):
        await invoices.records.writes.create(access, {"name": "B", "number": "R-1"}, key)
    await update(invoices, first["id"], {"number": "R-2"})
    with pytest.raises(ReplayedRefusal) as again:
        await invoices.records.writes.create(access, {"name": "B", "number": "R-1"}, key)
    assert isinstance(again.value.error, NotUnique)
    assert pointers(again.value.error) == ["/number"]


async def test_values_that_are_older_than_the_rule_stay(tmp_path: Path, registry: Registry) -> None:
    """Doctor's sentence names the records; each can be changed, no third gets the value, and a new value ends it."""
    world = await opened(tmp_path, with_type(registry, EarlierInvoices()))
    await world.backend.create("north")
    await world.features(INVOICES)
    first, second = [await create(world, number=text) for text in ("R-1", "r-1")]
    await world.records.archive.archive(world.access("invoices", CALLER), second["id"], Preconditions())
    await world.backend.close()

    world = await opened(tmp_path, with_type(registry, Invoices()))
    (sentence,) = await world.records.faults("north")
    assert first["id"] in sentence
    assert second["id"] in sentence
    assert "2 records of invoices have the same number" in sentence
    assert (await update(world, first["id"], {"name": "B"}))["number"] == "R-1"
    with pytest.raises(NotUnique):
        await create(world, number="R-1")
    await update(world, first["id"], {"number": "R-2"})
    assert await world.records.faults("north") == []
    with pytest.raises(NotUnique):
        await update(world, first["id"], {"number": "R-1"})
    await world.backend.close()


async def test_a_restored_backup_reserves_its_values(tmp_path: Path, invoices: World) -> None:
    """A tenant that was made from a backup refuses the values of its records."""
    await create(invoices, number="R-1")
    await invoices.backend.backup("north", tmp_path / "north.backup")
    await invoices.backend.restore("south", tmp_path / "north.backup")
    access = invoices.access("invoices", CALLER, tenant="south")
    with pytest.raises(NotUnique):
        await invoices.records.writes.create(access, {"name": "B", "number": "R-1"}, None)


def test_a_flag_or_a_list_cannot_be_unique() -> None:
    """The class is refused where it is defined, with the member and the reason."""
    with pytest.raises(TypeError, match="UNIQUE names done, but a member of kind flag cannot be that"):

        class Odd(RecordType):
            NAME, TITLE, SINGULAR = "odd", "Odd", "Odd"
            RECORD = msgspec.defstruct(
                "Odd", [("name", Line), ("done", bool, False)], forbid_unknown_fields=True, kw_only=True
            )
            UNIQUE = ("done",)

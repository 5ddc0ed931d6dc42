"""Copies of large tenants as of one moment, made in turns while others write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest

from crm_core.model.turns import Turn
from crm_core.plugin.storage import Claim, Document, IndexedDocument, StorageContext, Unit
from crm_core.testing.storage import put
from crm_tinydb.copies import PART, copied, copied_in_turns, sorted_in_turns
from crm_tinydb.storage import TinyDBBackend

MANY = 4 * PART


async def test_a_copy_is_made_in_turns() -> None:
    """Others run after each part once a turn is over; the copy has the items in their order."""
    source, clock = {f"n{number}": number for number in range(MANY + 5)}, count()
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    copy = await copied_in_turns(source, Turn(lambda: next(clock)))
    task.cancel()
    assert others >= 2 * (MANY // PART)
    assert dict(copy.items()) == source
    assert list(copy.items()) == list(copied(source).items()) == list(source.items())


async def test_items_are_sorted_over_all_parts() -> None:
    """Parts that are sorted for themselves are merged."""
    source = {f"n{number * 7919 % MANY:05d}": number for number in range(MANY)}
    assert list(await sorted_in_turns(copied(source))) == sorted(source.items())


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TinyDBBackend]:
    """A store with a large tenant, each of whose turns is over after a step."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path / "tenants"))
    await store.create("north")
    for first in range(0, MANY, 512):
        puts = [put(f"n{number:05d}", {"v": 0}) for number in range(first, first + 512)]
        await store.commit("north", Unit(now=1, puts=tuple(puts)))
    monkeypatch.setattr("crm_core.model.turns.TURN", 0.0)
    yield store
    await store.close()


async def write(store: TinyDBBackend, number: int) -> None:
    """Change the first and the last document, and add one and a claim, in one unit."""
    body = {"v": number}
    puts = (put("n00000", body), put(f"n{MANY - 1:05d}", body), put(f"p{number:05d}", body))
    await store.commit("north", Unit(now=1, puts=puts, claims=(Claim("nonce", f"c{number}", b"{}"),)))


def check_moment(documents: list[Document], claims: int) -> None:
    """Every unit is there as a whole or not at all."""
    values = {each.id: msgspec.json.decode(each.body)["v"] for each in documents}
    newest = values["n00000"]
    assert values[f"n{MANY - 1:05d}"] == newest
    assert sum(id_.startswith("p") for id_ in values) == claims == newest


async def listed(store: TinyDBBackend, _: Path) -> None:
    found = [each async for each in store.documents("north", "notes")]
    assert [each.id for each in found] == sorted(each.id for each in found)
    check_moment(found, sum(each.id.startswith("p") for each in found))


async def dumped(store: TinyDBBackend, _: Path, tenant: str = "north") -> None:
    parts = [each async for each in store.dump(tenant)]
    documents = [each.document for each in parts if isinstance(each, IndexedDocument)]
    check_moment(documents, sum(isinstance(each, Claim) for each in parts))


async def restored(store: TinyDBBackend, path: Path) -> None:
    await store.backup("north", path)
    await store.restore("south", path)
    await dumped(store, path, "south")
    await store.remove("south")


@pytest.mark.parametrize("read", [listed, dumped, restored])
async def test_what_is_read_is_of_one_moment(
    read: Callable[[TinyDBBackend, Path], Awaitable[None]], store: TinyDBBackend, tmp_path: Path
) -> None:
    """Units that are written while a tenant is listed, dumped or backed up are in it whole, or not at all."""
    stop = asyncio.Event()

    async def writing() -> None:
        for number in count(1):
            if stop.is_set():
                return
            await write(store, number)

    task = asyncio.create_task(writing())
    try:
        for number in range(8):
            await read(store, tmp_path / f"backup-{number}")
    finally:
        stop.set()
        await task


async def test_a_reader_that_leaves_delays_no_unit(store: TinyDBBackend, tmp_path: Path) -> None:
    """A unit that was queued while a copy was made is written, though the copy broke off."""
    tenant = store.open_tenants.find_open("north")
    assert tenant is not None
    reading = asyncio.create_task(listed(store, tmp_path))
    while not tenant.group_commit.busy:  # noqa: ASYNC110 -- it has to be in the middle of the copy
        await asyncio.sleep(0)
    writing = asyncio.create_task(write(store, 1))
    for _ in range(3):  # it is queued, and the batch does not start
        await asyncio.sleep(0)
    assert not reading.done()
    reading.cancel()
    await asyncio.wait_for(writing, 10)


async def test_a_fold_has_every_unit_once(store: TinyDBBackend, tmp_path: Path) -> None:
    """Units that are written while a tenant is folded are there after the next start."""
    for first in range(1, 31, 10):
        await asyncio.gather(store.fold("north"), *(write(store, number) for number in range(first, first + 10)))
    await store.close()
    again = TinyDBBackend()
    await again.open(StorageContext(tmp_path / "tenants"))
    found = [each async for each in again.documents("north", "notes")]
    assert sum(each.id.startswith("p") for each in found) == 30
    assert len(found) == MANY + 30
    await again.close()

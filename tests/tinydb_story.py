"""Stores on a fake disk that was filled by units, for tests of faults and of damage."""

from __future__ import annotations

from crm_core.plugin.storage import Claim, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry, put
from crm_core.testing.storage_changes import change
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import open_store, with_folders

NOW = 1_800_000_000


def unit(number: int) -> Unit:
    return Unit(
        now=NOW,
        claims=(Claim("nonce", f"n{number}", b"{}"),),
        puts=(put(f"d{number}", {"n": number}, {"name": f"name {number}"}), put("same", {"n": number})),
        entries=(entry(number),),
        changes=(change(f"d{number}"), change("same", number)),
        revises=True,
    )


async def opened(disk: FakeDisk, opened_stores: list[TinyDBBackend]) -> TinyDBBackend:
    store = await open_store(disk, log_max_unverified=50)
    opened_stores.append(store)
    return store


async def filled(
    disk: FakeDisk, opened_stores: list[TinyDBBackend], *, folds: int = 0, units: int = 3
) -> TinyDBBackend:
    with_folders(disk)
    store = await opened(disk, opened_stores)
    await store.create("north")
    await store.create("south")
    number = 0
    for _ in range(folds):
        for _ in range(units):
            number += 1
            await store.commit("north", unit(number))
        await store.fold("north")
    for _ in range(units):
        number += 1
        await store.commit("north", unit(number))
    await store.commit("south", unit(1))
    return store


async def consistent_state(store: TinyDBBackend) -> tuple[int, list[str], int]:
    """Seq, document ids and number of chained entries, after checking that they agree."""
    view = await store.view("north", None)
    ids = [document.id async for document in store.documents("north", "notes")]
    report = await store.verify("north")
    assert report.problems == ()
    assert view.head == report.head
    assert report.entries == view.seq == view.revision
    assert len(ids) == view.seq + bool(view.seq)
    for number in range(1, view.seq + 1):
        assert await store.claim("north", "nonce", f"n{number}") is not None
    assert await store.claim("north", "nonce", f"n{view.seq + 1}") is None
    changes, place = [], 0
    while page := (await store.changes("north", place)).entries:
        changes += [(stored.place, stored.entry.id) for stored in page]
        place = page[-1].place
    numbers = range(1, view.seq + 1)
    assert changes == list(enumerate((id_ for number in numbers for id_ in (f"d{number}", "same")), 1))
    history = await store.history("north", "notes", "same", limit=view.seq + 1)
    assert [stored.entry.revision for stored in history] == [*numbers][::-1]
    return view.seq, ids, report.entries

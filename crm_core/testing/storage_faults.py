"""Suite cases about reads and units while something else happens: other units, failed writes, kills, tampering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import (
    Claim,
    Committed,
    CountBelow,
    Delete,
    DocumentAt,
    DocumentExists,
    EntryQuery,
    Expectation,
    IndexFree,
    PageQuery,
    Put,
    StorageBackend,
    StoreState,
    Unit,
    WorkspaceAt,
)
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, TRIES, StorageHarness, entry, put

MANY = 20


def _whole(number: int) -> Unit:
    """A unit with a part of each kind, whose document, index value and claim are named for its number."""
    name = f"n{number}"
    return Unit(
        now=NOW,
        claims=(Claim("nonce", name, b"{}"),),
        puts=(put(name, indexes={"k": name}), put("last", {"number": number}, {"k": name})),
        entries=(entry(number),),
        revises=True,
    )


async def _traces(store: StorageBackend, number: int) -> list[str]:
    """The reads that return something of ``_whole(number)``."""
    name, found = f"n{number}", []
    if (await store.get("north", "notes", name)).document is not None:
        found.append("get")
    if (await store.find("north", "notes", "k", name)).document is not None:
        found.append("find")
    if (await store.page("north", PageQuery(collection="notes", sort="k", filters=(("k", (name,)),)))).documents:
        found.append("page")
    if await store.claim("north", "nonce", name) is not None:
        found.append("claim")
    if any(each.id == entry(number).id for each in await store.entries("north", EntryQuery(limit=5))):
        found.append("entries")
    return found


async def _seen_during(storage: StorageHarness, number: int, commit: asyncio.Task[object]) -> list[str]:
    """What reads return of ``_whole(number)`` until its commit ends, however it ends."""
    seen: list[str] = []
    while not commit.done() and not seen:
        await asyncio.sleep(0)  # reads may answer from memory
        seen = await _traces(storage.store, number)
    await asyncio.wait([commit])
    return seen


class FaultCases(Suite):
    """Isolation, concurrency, failed writes, kills and tampering."""

    async def test_a_reader_sees_only_what_survives_a_kill(self, storage: StorageHarness) -> None:
        """A unit is visible once it is durable: a request must not be answered from what a kill takes back."""
        for number in range(5):
            commit = asyncio.create_task(storage.store.commit("north", _whole(number)))
            seen: list[str] = []
            while not seen:
                await asyncio.sleep(0)  # reads may answer from memory
                seen = await _traces(storage.store, number)
            store = await storage.kill()
            lost = [read for read in seen if read not in await _traces(store, number)]
            assert not lost, f"{lost} returned a unit that was gone after kill -9: it was visible before it was durable"
            await asyncio.wait([commit])
            if not (await store.get("north", "notes", f"n{number}")).document:
                await storage.commit(_whole(number))

    async def test_a_refused_unit_is_never_visible(self, storage: StorageHarness) -> None:
        """No read returns anything of a unit in conflict, not even for a moment while it is tested."""
        for number in range(10):
            unit = _whole(number)
            refused = Unit(
                now=NOW,
                claims=unit.claims,
                expect=(DocumentAt("notes", "absent", 3),),
                puts=unit.puts,
                entries=unit.entries,
                revises=True,
            )
            commit = asyncio.create_task(storage.store.commit("north", refused))
            seen = await _seen_during(storage, number, commit)
            assert not seen, f"{seen} returned a unit that was refused: reads must see committed units only"

    async def test_a_failed_write_is_refused_whole(self, storage: StorageHarness) -> None:
        """A unit that cannot be written raises StorageUnavailable or StorageFull and leaves nothing; reads go on.

        Once writes succeed again the tenant accepts units without a restart, and has no trouble.
        """
        await storage.commit(_whole(1))
        with storage.failing_writes():
            commit = asyncio.create_task(storage.failed(_whole(2)))
            seen = await _seen_during(storage, 2, commit)
            commit.result()
            assert not seen, f"{seen} returned a unit that was never written: reads must see durable units only"
            left = await _traces(storage.store, 2)
            assert not left, f"{left} returned a unit whose write failed: it must leave nothing in memory"
            assert await _traces(storage.store, 1), "what was committed before can be read while writes fail"
            state, troubled = await storage.store.state("north"), await storage.store.troubled()
            assert state.mode == "read_only", f"a write failed, so state must be read_only, but is {state}"
            assert "north" in troubled, "a write failed, so troubled must name the tenant"
        done = await storage.committed_soon(_whole(3))
        assert (done.seq, done.revision, done.head.seq) == (2, 2, 2), "a failed unit takes no seq, revision and link"
        for _ in range(TRIES):
            state, troubled = await storage.store.state("north"), await storage.store.troubled()
            if state == StoreState() and not troubled:
                break
            await asyncio.sleep(0.1)
        assert state == StoreState(), f"a write succeeded, so the trouble is over and state must be ok, but is {state}"
        assert not troubled, f"a write succeeded, so the trouble is over and troubled must be empty, but is {troubled}"
        store = await storage.kill()
        assert not await _traces(store, 2), "a unit that was refused must not be there after a kill"
        assert await _traces(store, 3), "a unit that was answered must be there after a kill"
        assert (await store.verify("north")).problems == ()

    async def test_expectations_are_tested_within_the_commit(self, storage: StorageHarness) -> None:
        """Of concurrent units whose expectations exclude each other one is committed, of each kind of expectation.

        Also through another process's object, if several may open the store: a test before the transaction, or under a
        lock of one process, lets two units pass that only one of them may.
        """
        stores = await storage.stores()
        await storage.put(put("target"), Put("full", "a", b"{}"))
        kinds: dict[str, Callable[[int], Unit]] = {
            "WorkspaceAt": lambda _: Unit(now=NOW, expect=(WorkspaceAt(0),), revises=True),
            "DocumentAt": lambda number: _expecting(DocumentAt("notes", "one", 0), put("one", {"by": number})),
            "IndexFree": lambda number: _expecting(
                IndexFree("unique", "k", "v", f"u{number}"), put(f"u{number}", indexes={"k": "v"}, collection="unique")
            ),
            "CountBelow": lambda number: _expecting(CountBelow("full", 2), Put("full", f"f{number}", b"{}")),
            "DocumentExists": lambda number: Unit(
                now=NOW,
                expect=(DocumentExists("notes", "target"),),
                deletes=(Delete("notes", "target"),),
                puts=(put(f"d{number}", collection="former"),),
            ),
        }
        for kind, unit in kinds.items():
            outcomes = await _race(stores, [unit(number) for number in range(MANY)])
            won = sum(isinstance(outcome, Committed) for outcome in outcomes)
            message = f"of {MANY} concurrent units with one {kind} that only one can meet {won} were committed"
            assert won == 1, f"{message}: it must be tested in the transaction that writes"

    async def test_claims_are_made_within_the_commit(self, storage: StorageHarness) -> None:
        """Of concurrent units with one claim one is committed, through other processes' objects too."""
        stores = await storage.stores()
        units = [Unit(now=NOW, claims=(Claim("nonce", "a", b"%d" % number),)) for number in range(MANY)]
        won = sum(isinstance(outcome, Committed) for outcome in await _race(stores, units))
        assert won == 1, f"{won} units got the same claim, so a replayed push would be applied {won} times"

    async def test_verify_computes_the_hashes(self, storage: StorageHarness) -> None:
        """An entry that was edited in the stored data is a problem of the chain, or makes it unreadable.

        The log is evidence only if ``verify`` computes each hash again.
        """
        for number in range(1, 6):
            await storage.commit(Unit(now=NOW, entries=(entry(number, source_ip=f"203.0.113.{number}"),)))
        await storage.store.fold("north")
        store = await storage.tamper("north", b"203.0.113.3", b"203.0.113.9")
        try:
            report = await store.verify("north")
        except StorageUnavailable:
            return
        assert report.problems, "entry 3 was edited in the stored data, so verify must name a problem, but found none"


def _expecting(expectation: Expectation, written: Put) -> Unit:
    return Unit(now=NOW, expect=(expectation,), puts=(written,))


async def _race(stores: list[StorageBackend], units: list[Unit]) -> list[object]:
    """The outcomes of units that are committed at the same time, in turn through each of the stores."""

    async def commit(number: int, unit: Unit) -> object:
        for _ in range(number % 3):  # some begin later, in the midst of the others
            await asyncio.sleep(0)
        return await stores[number % len(stores)].commit("north", unit)

    return await asyncio.gather(*(commit(number, unit) for number, unit in enumerate(units)))

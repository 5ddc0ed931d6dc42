from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from crm_core.errors import CrmError, SetupError, StorageUnavailable
from crm_core.plugin.storage import Committed, EntryQuery, StorageContext, Unit
from crm_core.testing.disk import FakeDisk, Survives
from crm_core.testing.storage import entry, put
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import SCRATCH, open_store, with_folders

Act = Callable[[TinyDBBackend], "asyncio.Future[None]"]


@contextlib.asynccontextmanager
async def opened(disk: FakeDisk, **options: object) -> AsyncIterator[TinyDBBackend]:
    store = await open_store(disk, options=options, log_max_unverified=20)
    try:
        yield store
    finally:
        await store.close()


def unit(number: int) -> Unit:
    return Unit(now=1, puts=(put(f"d{number}"),), entries=(entry(number),))


async def creating(store: TinyDBBackend) -> None:
    await store.create("east")


async def restoring(store: TinyDBBackend) -> None:
    await store.restore("east", SCRATCH / "copy")


async def renaming(store: TinyDBBackend) -> None:
    await store.rename("north", "east")


async def backing_up(store: TinyDBBackend) -> None:
    await store.backup("north", SCRATCH / "second")


@pytest.mark.parametrize("survives", ["synced", "half", "all"])
@pytest.mark.parametrize("act", [creating, restoring, renaming, backing_up])
async def test_stopped_after_each_call(act: Act, survives: Survives) -> None:
    """Creating, restoring, renaming or backing up a tenant, stopped after any call, leaves all or nothing."""
    for stop in range(60):
        disk = with_folders(FakeDisk())
        async with opened(disk) as store:
            await store.create("north")
            for number in range(3):
                await store.commit("north", unit(number))
            await store.backup("north", SCRATCH / "copy")
            disk.stop_at = len(disk.calls) + stop
            answered = False
            with contextlib.suppress(CrmError, SetupError):
                await act(store)
                answered = True
            whole = len(disk.calls) < disk.stop_at
            cut = disk.power_cut(survives)
        async with opened(cut) as after:
            names = await after.tenants()
            assert set(names) <= {"north", "east"}
            assert len(names) == 2 or act in {renaming, backing_up} or not answered
            assert not answered or act is not renaming or names == ["east"]
            for name in names:
                assert (await after.state(name)).mode == "ok"
                assert await after.count(name, "notes") == (0 if act is creating and name == "east" else 3)
                assert (await after.verify(name)).problems == ()
            if act is backing_up and cut.exists(SCRATCH / "second"):
                await after.restore("third", SCRATCH / "second")
                assert await after.count("third", "notes") == 3
            assert act is not backing_up or not answered or cut.exists(SCRATCH / "second")
            if "east" not in names:
                await after.create("east")
        if whole:
            return
    pytest.fail("the action must finish within 60 disk calls")


async def test_least_used_tenants_are_closed() -> None:
    """At most ``max_open`` tenants stay open; the next request opens a closed one with all its documents."""
    disk = with_folders(FakeDisk())
    async with opened(disk, max_open=4) as store:
        for number in range(20):
            await store.create(f"t{number}")
            await store.commit(f"t{number}", unit(number))
        await store.get("t3", "notes", "d3")
        async with asyncio.timeout(20):
            while max(len(store.open_tenants._open), len(disk._handles)) > 4:  # noqa: ASYNC110 -- they close in threads
                await asyncio.sleep(0.01)
        assert "t3" in store.open_tenants._open
        read = await asyncio.gather(*(store.get(f"t{number}", "notes", f"d{number}") for number in range(20)))
        assert all(each.document is not None for each in read)


async def test_closed_tenants_are_freed_immediately() -> None:
    """A closed tenant is freed without the garbage collector, which does not scan large tenants."""
    gc.collect()
    gc.disable()
    try:
        async with opened(with_folders(FakeDisk()), max_open=1) as store:
            for name in ("a", "b"):
                await store.create(name)
            await store.commit("a", unit(1))
            await store.fold("a")
            await store.entries("a", EntryQuery())
            reference = weakref.ref(store.open_tenants.find_open("a"))
            await store.get("b", "notes", "d1")
            async with asyncio.timeout(20):
                while reference() is not None:  # noqa: ASYNC110 -- it closes in a thread
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_busy_tenants_are_not_closed() -> None:
    """A tenant with a waiting stream stays open beyond the limit; concurrent writes to others all succeed."""
    disk = with_folders(FakeDisk())
    async with opened(disk, max_open=1) as store:
        for name in ("a", "b", "c"):
            await store.create(name)
        waiter = asyncio.create_task(store.wait("a", 0))
        await asyncio.sleep(0.01)
        outcomes = await asyncio.gather(
            *(store.commit(name, unit(number)) for number in range(30) for name in ("b", "c"))
        )
        assert all(isinstance(outcome, Committed) for outcome in outcomes)
        assert not waiter.done()
        await store.commit("a", unit(1))
        await asyncio.wait_for(waiter, 5)
        store.note("b", entry(99, signature_result="invalid"))
        await store.get("c", "notes", "d1")
        assert (await store.entries("b", EntryQuery(verified=False)))[0].id == entry(99).id


async def test_rename_while_writing() -> None:
    """Writes to a tenant that is being renamed either succeed before, or fail with an error; none is lost."""
    async with opened(with_folders(FakeDisk())) as store:
        await store.create("north")
        tasks = [asyncio.create_task(store.commit("north", unit(number))) for number in range(20)]
        await asyncio.sleep(0)
        await store.rename("north", "east")
        late = asyncio.create_task(store.commit("north", unit(99)))
        outcomes = await asyncio.gather(*tasks, late, return_exceptions=True)
        committed = sum(isinstance(outcome, Committed) for outcome in outcomes)
        assert all(isinstance(outcome, (Committed, CrmError)) for outcome in outcomes)
        assert isinstance(outcomes[-1], CrmError)
        assert await store.count("east", "notes") == committed


@pytest.mark.parametrize("is_open", [True, False])
async def test_restoring_a_tenant_whose_folder_was_moved_away(tmp_path: Path, is_open: bool) -> None:
    """A restore is refused with a fix while the folder exists, and succeeds in the running store when it is gone."""
    store, folder, copy = TinyDBBackend(), tmp_path / "tenants" / "north", tmp_path / "copy"
    await store.open(StorageContext(tmp_path / "tenants", {"max_open": 1}))
    await store.create("north")
    await store.commit("north", unit(1))
    await store.backup("north", copy)
    await store.commit("north", unit(2))
    with pytest.raises(SetupError, match="move its folder away first"):
        await store.restore("north", copy)
    if not is_open:
        await store.create("other")
        await store.count("other", "notes")
    folder.rename(tmp_path / "away")
    if not is_open:
        assert (await store.troubled())["north"].reason.startswith("The tenant's folder is gone")
        assert "crm tenant restore" in (await store.state("north")).reason
    with pytest.raises(SetupError, match="not a whole backup"):
        await store.restore("north", tmp_path / "away" / "identity")
    if is_open:
        assert await store.count("north", "notes") == 2  # an invalid backup changes nothing
    await store.restore("north", copy)
    assert await store.count("north", "notes") == 1
    assert isinstance(await store.commit("north", unit(3)), Committed)
    assert (await store.troubled(), await store.check("north")) == ({}, ())
    await store.close()
    await store.open(StorageContext(tmp_path / "tenants"))
    assert await store.count("north", "notes") == 2
    folder.rename(tmp_path / "twice")
    await store.create("north")
    assert await store.count("north", "notes") == 0
    folder.rename(tmp_path / "thrice")
    await store.create("east")
    await store.commit("east", unit(4))
    await store.rename("east", "north")
    assert ("east" in await store.tenants(), await store.count("north", "notes")) == (False, 1)
    await store.close()


async def test_a_folder_is_not_opened_while_it_is_replaced(tmp_path: Path) -> None:
    """Readers during a restore get an error or the restored state, and damage nothing."""
    store, copy = TinyDBBackend(), tmp_path / "copy"
    await store.open(StorageContext(tmp_path / "tenants"))
    await store.create("north")
    await store.commit("north", unit(1))
    await store.backup("north", copy)
    for turn in range(20):
        (tmp_path / "tenants" / "north").rename(tmp_path / f"away-{turn}")
        restoring = asyncio.create_task(store.restore("north", copy))
        while not restoring.done():
            with contextlib.suppress(StorageUnavailable):
                assert await store.count("north", "notes") == 1
            await asyncio.sleep(0)
        await restoring
        assert (await store.check("north"), await store.count("north", "notes")) == ((), 1)
    await store.close()


async def test_options_are_checked() -> None:
    """An unknown option and an invalid limit are refused with a message that names max_open."""
    for options in ({"max_open": 0}, {"max_open": True}, {"max_open": "9"}, {"maxopen": 9}):
        with pytest.raises(SetupError, match="max_open"):
            async with opened(with_folders(FakeDisk()), **options):
                pass
    with pytest.raises(StorageUnavailable):
        await TinyDBBackend(with_folders(FakeDisk())).tenants()


async def test_check_reports_leftovers_and_permissions(tmp_path: Path) -> None:
    """Leftovers of an interrupted write, and files that others may read, are reported with the fix."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path / "tenants"))
    await store.create("north")
    assert await store.check("north") == ()
    folder = tmp_path / "tenants" / "north"
    (folder / "store-00000009.json.new").write_bytes(b"half")
    (folder / "store-00000009.json.new").chmod(0o600)
    next(folder.glob("journal-*")).chmod(0o640)
    folder.chmod(0o755)
    problems = await store.check("north")
    assert [problem for problem in problems if "interrupted write" in problem]
    assert [problem for problem in problems if "chmod 0600" in problem]
    assert [problem for problem in problems if "chmod 0700" in problem]
    assert len(problems) == 3
    await store.close()


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_lost_while_tenants_come_and_go(seed: int) -> None:
    """Writes, reads and folds of more tenants than may be open lose nothing, whichever are closed when."""
    chance = random.Random(seed)
    disk = with_folders(FakeDisk())
    names = [f"t{number}" for number in range(5)]
    answered = dict.fromkeys(names, 0)
    async with opened(disk, max_open=1) as store:
        for name in names:
            await store.create(name)

        async def work(worker: int) -> None:
            for number in range(30):
                name, what = chance.choice(names), chance.random()
                if what < 0.1:
                    await store.fold(name)
                elif what < 0.5:
                    await store.get(name, "notes", "x")
                else:
                    assert isinstance(await store.commit(name, unit(worker * 100 + number)), Committed)
                    answered[name] += 1
                if chance.random() < 0.3:
                    await asyncio.sleep(0)

        await asyncio.gather(*(work(worker) for worker in range(8)))
    async with opened(disk) as after:
        for name in names:
            assert (await after.state(name)).mode == "ok"
            assert await after.count(name, "notes") == answered[name] == (await after.view(name, None)).seq
            assert (await after.verify(name)).problems == ()

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from crm_core.commands.copying import copy_all, refuse_marked
from crm_core.errors import SetupError, StorageFull
from crm_core.model.log import Head
from crm_core.plugin.storage import IndexedDocument, Part, StorageBackend, StorageContext, Unit
from crm_core.testing.storage import entry, put
from crm_tinydb.storage import TinyDBBackend
from doc_plugins import BACKEND

NOW = 1_800_000_000
_spec = importlib.util.spec_from_file_location("sqlite_storage", BACKEND)
sqlite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sqlite)


class Breaking(sqlite.SQLiteBackend):
    """A target whose disk is full at the second tenant."""

    async def load(self, tenant: str, parts: AsyncIterator[Part]) -> None:
        if await self.tenants():
            raise StorageFull("The disk is full.")
        await super().load(tenant, parts)


class Losing(sqlite.SQLiteBackend):
    """A target that loses a document."""

    async def load(self, tenant: str, parts: AsyncIterator[Part]) -> None:
        async def less() -> AsyncIterator[Part]:
            async for part in parts:
                if not (isinstance(part, IndexedDocument) and part.document.id == "b"):
                    yield part

        await super().load(tenant, less())


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[StorageBackend]:
    """The tenants east and west on files, each with a document, a log entry and a change."""
    store = await opened(TinyDBBackend(), tmp_path / "tenants")
    for tenant in ("east", "west"):
        await store.create(tenant)
        await write(store, tenant)
    yield store
    await store.close()


async def opened(store: StorageBackend, folder: Path) -> StorageBackend:
    await store.open(StorageContext(folder))
    return store


async def write(store: StorageBackend, tenant: str, number: int = 1) -> Head:
    done = await store.commit(
        tenant, Unit(now=NOW, puts=(put("a", {"n": number}, {"n": number}), put("b")), entries=(entry(number),))
    )
    return done.head


async def copied(
    source: StorageBackend, target: StorageBackend, then: Callable[[str], Awaitable[object]] | None = None
) -> list[str]:
    """The tenants as they are copied; ``then`` happens after each."""
    names = []
    async for item in copy_all(source, target):
        names.append(item["tenant"])
        if then is not None:
            await then(item["tenant"])
    return names


async def parts(store: StorageBackend, tenant: str) -> list[Part]:
    return [part async for part in store.dump(tenant)]


async def test_there_and_back(files: StorageBackend, tmp_path: Path) -> None:
    """Copies have every part and head; the source is refused until it has received everything back."""
    before, target = await parts(files, "east"), await opened(sqlite.SQLiteBackend(), tmp_path / "tenants")
    assert await copied(files, target) == ["east", "west"]
    assert await parts(target, "east") == before
    await refuse_marked(target)
    with pytest.raises(SetupError, match="moved to sqlite: set storage"):
        await refuse_marked(files)
    with pytest.raises(SetupError, match="moved to sqlite"):
        await copied(files, target)
    head = await write(target, "east", 2)
    await target.create("north")
    await target.remove("west")
    assert await copied(target, files) == ["east", "north"]
    assert (await files.verify("east", head)).problems == ()
    assert await files.tenants() == ["east", "north"]
    await refuse_marked(files)
    await target.close()


async def test_a_copy_that_breaks_is_resumed(files: StorageBackend, tmp_path: Path) -> None:
    """The source stays as it was and may change; the next run copies what is missing, changed and gone."""
    broken = await opened(Breaking(), tmp_path / "tenants")
    with pytest.raises(StorageFull):
        await copied(files, broken)
    await refuse_marked(files)
    with pytest.raises(SetupError, match="run crm migrate --to sqlite again"):
        await refuse_marked(broken)
    await broken.close()
    await write(files, "east", 3)
    target = await opened(sqlite.SQLiteBackend(), tmp_path / "tenants")
    assert await copied(files, target) == ["east", "west"]
    assert await parts(target, "east") == await parts(files, "east")
    await refuse_marked(target)
    await target.close()


async def test_a_killed_end_is_finished(files: StorageBackend, tmp_path: Path) -> None:
    """If only the target's mark was left to delete, another run deletes it."""
    target = await opened(sqlite.SQLiteBackend(), tmp_path / "tenants")
    await copied(files, target)
    await target.set_mark(b'{"state":"receiving","other":"tinydb"}')
    assert await copied(files, target) == ["east", "west"]
    await refuse_marked(target)
    await target.close()


async def test_other_data_is_not_replaced(files: StorageBackend, tmp_path: Path) -> None:
    """A target that has tenants is refused, also one that another source began to fill."""
    target = await opened(sqlite.SQLiteBackend(), tmp_path / "tenants")
    await target.create("east")
    with pytest.raises(SetupError, match="sqlite has tenants that are not a copy of these"):
        await copied(files, target)
    await target.set_mark(b'{"state":"receiving","other":"tinydb"}')
    with pytest.raises(SetupError, match="sqlite has tenants that are not a copy of these"):
        await copied(files, target)
    assert (await target.view("east", None)).seq == 0
    await refuse_marked(files)
    await target.close()


async def test_a_difference_is_noticed(files: StorageBackend, tmp_path: Path) -> None:
    """A target that loses a document fails the copy, and the source is not marked."""
    target = await opened(Losing(), tmp_path / "tenants")
    with pytest.raises(SetupError, match="east is not the same in sqlite as in tinydb"):
        await copied(files, target)
    await refuse_marked(files)
    await target.close()


class Untupling(sqlite.SQLiteBackend):
    """A target that stores a tuple of one text as that text, and each text of a tuple once."""

    async def load(self, tenant: str, parts: AsyncIterator[Part]) -> None:
        async def plain() -> AsyncIterator[Part]:
            async for part in parts:
                if isinstance(part, IndexedDocument):
                    indexes = {name: value[0] if value == ("x", "x") else value for name, value in part.indexes.items()}
                    yield IndexedDocument(part.document, indexes)
                else:
                    yield part

        await super().load(tenant, plain())


async def test_equal_index_values_are_no_difference(files: StorageBackend, tmp_path: Path) -> None:
    """A backend may return one text for a tuple of it: that finds the same documents."""
    await files.commit("east", Unit(now=NOW, puts=(put("c", {}, {"words": ("x", "x"), "tags": (), "n": "x"}),)))
    target = await opened(Untupling(), tmp_path / "tenants")
    assert await copied(files, target) == ["east", "west"]
    assert (await target.find("east", "notes", "words", "x")).document is not None
    await target.close()


async def test_a_damaged_tenant_is_not_copied(files: StorageBackend, tmp_path: Path) -> None:
    """A tenant in quarantine stops the copy: the rest of it would look like everything."""
    await files.close()
    (journal,) = (tmp_path / "tenants" / "west").glob("journal-*.log")
    text = bytearray(journal.read_bytes())
    text[len(text) // 2] ^= 1
    journal.write_bytes(text)
    await files.open(StorageContext(tmp_path / "tenants"))
    target = await opened(sqlite.SQLiteBackend(), tmp_path / "tenants")
    with pytest.raises(SetupError, match="west is damaged: restore it"):
        await copied(files, target)
    assert await target.tenants() == ["east"]
    await refuse_marked(files)
    await target.close()


class Shared(sqlite.SQLiteBackend):
    """A store as several processes share one."""

    EXCLUSIVE = False
    NAME = "shared"
    served = frozenset()

    async def alive(self, process: str, seconds: int) -> frozenset[str]:
        return self.served


async def test_a_store_that_is_served_is_not_copied(files: StorageBackend, tmp_path: Path) -> None:
    """Neither from nor to a store that another process serves, nor one that changed while it was copied."""
    shared = await opened(Shared(), tmp_path / "shared")
    shared.served = frozenset({"a", "b"})
    for stores in ((files, shared), (shared, files)):
        with pytest.raises(SetupError, match="2 processes serve shared: stop all first"):
            await copied(*stores)
    shared.served = frozenset()
    await copied(files, shared)
    target = await opened(sqlite.SQLiteBackend(), tmp_path / "sqlite")
    with pytest.raises(SetupError, match="east has changed since it was copied"):
        await copied(shared, target, lambda tenant: write(shared, tenant, 2))
    await refuse_marked(shared)
    assert await copied(shared, target) == ["east", "west"]
    for store in (shared, target):
        await store.close()


async def test_no_tenant_is_left_behind(files: StorageBackend, tmp_path: Path) -> None:
    """If a command makes, renames or removes one while others are copied, the source stays until the next run."""
    shared = await opened(Shared(), tmp_path / "shared")
    await copied(files, shared)
    target = await opened(sqlite.SQLiteBackend(), tmp_path / "sqlite")

    async def run(command: Callable[..., Awaitable[None]], *names: str) -> None:
        with pytest.raises(SetupError, match="shared has other tenants since the copy began"):
            await copied(shared, target, lambda tenant: command(*names) if tenant == "west" else shared.has(tenant))
        await refuse_marked(shared)

    await run(shared.create, "new")
    await run(shared.rename, "east", "first")
    await run(shared.remove, "new")
    assert await copied(shared, target) == ["first", "west"] == await target.tenants()
    for store in (shared, target):
        await store.close()

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tinydb import TinyDB, where

from crm_core.plugin.storage import Claim, StorageContext, Unit
from crm_core.testing.storage import entry, put
from crm_tinydb.collection import Collection
from crm_tinydb.editing import FoldedStorage
from crm_tinydb.framing import Damaged
from crm_tinydb.storage import TinyDBBackend


async def test_stock_tinydb_reads_every_record(tmp_path: Path) -> None:
    """After a fold stock TinyDB opens the tenant's JSON file and reads every document."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path))
    await store.create("north")
    bodies = {f"id{number}": {"name": f'n "{number}" \u00e9\n', "amount": "1.50", "n": number} for number in range(500)}
    for start in range(0, 500, 100):
        puts = tuple(put(i, b, {"name": i, "tags": ("x", "y")}) for i, b in list(bodies.items())[start : start + 100])
        await store.commit(
            "north", Unit(now=1, puts=puts, claims=(Claim("k", str(start), b"{}"),), entries=(entry(start),))
        )
    await store.fold("north")
    await store.close()
    (path,) = (tmp_path / "north").glob("*.json")
    for arguments in ({"access_mode": "r"}, {"storage": FoldedStorage}):
        with TinyDB(path, **arguments) as database:
            rows = database.table("notes").all()
            assert {row["id"]: row["body"] for row in rows} == bodies
            assert database.table("notes").get(where("id") == "id7")["indexes"] == {"name": "id7", "tags": ["x", "y"]}
            assert len(database.table("_claims")) == 5
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


async def test_folded_storage_refuses_damage_and_writes(tmp_path: Path) -> None:
    """Reading a truncated file raises Damaged, and writing raises RuntimeError."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path))
    await store.create("north")
    await store.close()
    (path,) = (tmp_path / "north").glob("*.json")
    copy = tmp_path / "copy.json"
    shutil.copy(path, copy)
    with TinyDB(copy, storage=FoldedStorage) as database, pytest.raises(RuntimeError):
        database.table("notes").insert({"id": "x"})
    copy.write_bytes(copy.read_bytes()[:-9])
    with TinyDB(copy, storage=FoldedStorage) as database, pytest.raises(Damaged):
        database.table("notes").all()


def test_live_tables_answer_tinydb_searches() -> None:
    """TinyDB's queries find the rows of an open store as they are now."""
    notes = Collection("notes")
    for number in range(3):
        notes.put(f"n{number}", notes.row(1, b'{"v":%d}' % number, {"k": number}))
    assert len(notes) == 3
    assert notes.search(where("body").v == 1)[0]["id"] == "n1"
    notes.put("n1", notes.row(2, b'{"v":9}', {"k": 1}))
    assert notes.search(where("body").v == 1) == []
    assert notes.get(where("revision") == 2)["body"] == {"v": 9}


def test_live_tables_refuse_tinydb_writes() -> None:
    """A table of an open store refuses TinyDB's writes, which would bypass the journal."""
    notes = Collection("notes")
    notes.put("a", notes.row(1, b"{}", {}))
    with pytest.raises(RuntimeError):
        notes.update({"body": {"v": 9}}, where("id") == "a")
    with pytest.raises(RuntimeError):
        notes.remove(where("id") == "a")
    with pytest.raises(RuntimeError):
        notes.truncate()
    assert notes.document("a") is not None

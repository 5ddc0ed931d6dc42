"""Writes through TinyDB, made safe: edits in place become puts and deletes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from tinydb import Storage

from crm_core.plugin.unit import Delete, IndexValue, Put
from crm_tinydb.checksum import check_whole
from crm_tinydb.disk import RealDisk

Rows = dict[str, Mapping[str, object]]
Edit = Callable[[dict[Any, Any]], None]
Editing = Callable[[list[Put], list[Delete]], None]


class InMemoryStorage(Storage):
    """The storage of tables whose rows are in memory: TinyDB has no file to write."""

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Return nothing: the tables have the rows."""
        return None

    def write(self, data: dict[str, dict[str, Any]]) -> None:  # noqa: ARG002 -- TinyDB names it
        """Refuse: TinyDB would rewrite a whole file in place."""
        raise RuntimeError("Tables of a store are read-only. Commit a unit to change them.")


class FoldedStorage(Storage):
    """Opens a folded file with TinyDB, read-only and checked against its checksum.

    ``TinyDB(path, storage=FoldedStorage).table("customers").all()``; reading raises ``Damaged``.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def read(self) -> dict[str, dict[str, Any]] | None:
        """All tables except the checksum."""
        data = RealDisk().read(self._path)
        check_whole(data)
        tables: dict[str, dict[str, Any]] = msgspec.json.decode(data)
        del tables["_check"]
        return tables

    def write(self, data: dict[str, dict[str, Any]]) -> None:  # noqa: ARG002 -- TinyDB names it
        """Refuse: the next fold would undo it."""
        raise RuntimeError("A folded file is read-only: the next fold replaces it. Commit a unit instead.")


def opened_row(
    id_: str, revision: int, body: bytes, names: tuple[str, ...], values: tuple[IndexValue, ...]
) -> dict[str, object]:
    """A row as a TinyDB document, as in the folded file."""
    indexes = dict(zip(names, values, strict=True))
    return {"id": id_, "revision": revision, "indexes": indexes, "body": msgspec.json.decode(body)}


def differences(collection: str, read: Callable[[], Rows], updater: Edit) -> tuple[list[Put], list[Delete]]:
    """The changes of an updater to a table, as parts of a unit."""
    before, after = read(), read()
    updater(after)
    deletes = [Delete(collection, id_) for id_ in before if id_ not in after]
    puts = [_put(collection, id_, row) for id_, row in after.items() if before.get(id_) != row]
    return puts, deletes


def _put(collection: str, id_: str, row: Mapping[str, Any]) -> Put:
    return Put(collection, str(id_), msgspec.json.encode(row["body"]), dict(row.get("indexes", {})))

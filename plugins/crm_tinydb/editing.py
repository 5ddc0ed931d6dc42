"""A tenant's data as TinyDB reads it: its folded file, and rows as documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from tinydb import Storage

from crm_core.plugin.unit import IndexValue
from crm_tinydb.checksum import check_whole
from crm_tinydb.disk import RealDisk


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

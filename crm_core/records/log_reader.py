"""A reader of the change log with its place in it."""

from __future__ import annotations

from typing import Final

from crm_core.model.change_log import RECORD_CHANGED, ChangeEntry
from crm_core.plugin.storage import ChangePage, StorageBackend

_BATCH: Final = 500
_MOST: Final = 10_000  # entries; who missed more of them reads the records again, which is cheaper


class LogReader:
    """Where a reader of a tenant's change log is."""

    def __init__(self, backend: StorageBackend, tenant: str) -> None:
        self._backend = backend
        self._tenant = tenant
        self._epoch, self._place = "", 0

    async def begin(self, back: int = 0) -> None:
        """Read on from now, or from so many entries ago, or as many as are retained."""
        page = await self._backend.changes(self._tenant, None)
        self._epoch, self._place = page.epoch, max(page.oldest, page.newest - back)

    async def fresh(self) -> list[ChangeEntry] | None:
        """The entries of records since the last call; None after too many of them, or if the log does not continue.

        A call that fails, or is cancelled, has read nothing.
        """
        found: list[ChangeEntry] = []
        place = self._place
        while True:
            page: ChangePage = await self._backend.changes(self._tenant, place, _BATCH)
            if page.entries is None or page.epoch != self._epoch or page.newest - place > _MOST:
                return None
            if not page.entries:
                self._place = place
                return found
            found += (stored.entry for stored in page.entries if stored.entry.event == RECORD_CHANGED)
            place = page.entries[-1].place

"""The folds that remove what was erased from a tenant's files: minutes after the erase, also after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from crm_core.errors import StorageFull, StorageUnavailable, UnknownTenant
from crm_core.plugin.unit import Committed, Conflict, Unit
from crm_tinydb.disk import Disk, drop, gone, write_file
from crm_tinydb.group_commit import refusal
from crm_tinydb.tenant import Tenant

MARK = "erasing"  # a file in the tenant's folder, from before an erase until the fold that includes it
FOLD_AFTER = 600.0  # seconds: a fold for each of many erases in a row would cost too much
_TEXT = b"Records were erased; the next fold removes them from the other files.\n"


async def commit_marked(tenant: Tenant, unit: Unit) -> Committed | Conflict:
    """Commit a unit that erases, after marking the tenant durably. Raises as ``StorageBackend.commit``."""
    async with tenant.maintenance:  # a fold in progress would remove the mark of an erase that it does not include
        try:
            await tenant.run(lambda: write_file(tenant.disk, tenant.folder / MARK, _TEXT))
        except OSError as error:
            raise refusal(error) from None
        return await tenant.commit(unit)


def unmark(disk: Disk, folder: Path) -> None:
    """Remove the mark: no file contains what was erased."""
    drop(disk, folder / MARK)


def marked(disk: Disk, tenants_dir: Path, tenants: Iterable[str]) -> list[str]:
    """The tenants whose files may contain what was erased, those included whose folders cannot be read now."""
    return [tenant for tenant in tenants if not gone(disk, tenants_dir / tenant / MARK)]


class Erasures:
    """Folds tenants after erases. ``fold`` returns whether their files are clean; if not, it is tried again.

    So it is after StorageUnavailable and StorageFull; it may also raise UnknownTenant.
    """

    def __init__(self, fold: Callable[[str], Awaitable[bool]], after: float) -> None:
        self._fold, self._after = fold, after
        self._tenants: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, tenants: Iterable[str]) -> None:
        """Fold tenants soon."""
        self._tenants.update(tenants)
        if self._tenants and self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._tenants:
                await asyncio.sleep(self._after)
                for tenant in tuple(self._tenants):
                    self._tenants.discard(tenant)  # before the fold: a record may be erased meanwhile
                    with suppress(UnknownTenant):
                        if not await self._cleaned(tenant):
                            self._tenants.add(tenant)
        finally:
            self._task = None

    async def _cleaned(self, tenant: str) -> bool:
        try:
            return await self._fold(tenant)
        except (StorageUnavailable, StorageFull):
            return False

    async def close(self) -> None:
        """Fold no more; marked tenants are folded after the next start."""
        self._tenants.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

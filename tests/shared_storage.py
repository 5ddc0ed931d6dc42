"""The SQLite backend of docs/examples, opened by several processes: a plugin for tests of ``serve --processes``."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from crm_core.plugin import hookimpl

if TYPE_CHECKING:
    from crm_core.plugin.storage import StorageBackend

T = TypeVar("T")
_NAME = "sqlite_storage_of_docs"
_spec = importlib.util.spec_from_file_location(
    _NAME, Path(__file__).resolve().parents[1] / "docs/examples/sqlite_storage.py"
)
assert _spec is not None
assert _spec.loader is not None
sqlite: Any = sys.modules.setdefault(_NAME, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(sqlite)


class SharedSQLiteBackend(sqlite.SQLiteBackend):  # type: ignore[misc]
    """SQLite's own locks order the units of several processes; what they wait for they poll."""

    NAME = "shared"
    EXCLUSIVE = False

    async def _run(self, name: str, work: Callable[[Any], T]) -> T:
        path = self._tenants_dir / f"{name}{sqlite.SUFFIX}"
        if name not in self._tenants and path.exists():  # another process made it
            self._tenants[name] = sqlite.Tenant(path, self._context.reindex)
        result: T = await super()._run(name, work)
        return result

    async def wait(self, tenant: str, after: int) -> None:
        """Poll."""
        while (await self.view(tenant, None)).seq <= after:  # noqa: ASYNC110 -- of another process
            await asyncio.sleep(0.05)

    async def alive(self, process: str, seconds: int) -> frozenset[str]:
        """A file for each process, which says until when."""
        folder = self._tenants_dir / "alive"
        folder.mkdir(exist_ok=True)
        if seconds:
            (folder / f".{process}").write_text(str(time.time() + seconds))
            (folder / f".{process}").rename(folder / process)
        elif process:
            (folder / process).unlink(missing_ok=True)
        return frozenset(path.name for path in folder.glob("[!.]*") if float(path.read_text()) > time.time())


@hookimpl
def crm_register_storage_backends() -> list[type[StorageBackend]]:
    """Offer ``storage: {backend: shared}``."""
    return [SharedSQLiteBackend]

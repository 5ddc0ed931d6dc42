"""Records in a real store, with a clock and features that a test sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from crm_core.model.caller import Caller
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.ids import Ids
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import Committed, StorageBackend, Unit
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.service import Records
from crm_core.settings.catalog import load_catalog
from crm_core.settings.roles import load_roles
from crm_core.workspace import Section, Views
from crm_core.workspace.cursors import Cursors

SCOPES = frozenset(
    f"{name}:{access}" for name in ("customers", "deals", "tasks") for access in ("read", "write", "delete")
)
EVERYTHING = {"plan": {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*"]}}
TOKEN = Caller(kind="token", id="t1", name="integration", revision=1, scopes=SCOPES)
READER = Caller(kind="token", id="t2", name="reader", revision=1, scopes=frozenset({"customers:read", "deals:read"}))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


class Files:
    """The built-in catalog and roles."""

    generation = 1

    def __init__(self, catalog: Catalog, roles: Roles) -> None:
        self.catalog = catalog
        self.roles = roles


class World:
    """Records of the tenants ``north`` and ``south`` in a real store."""

    def __init__(self, backend: StorageBackend, registry: Registry, folder: Path) -> None:
        self.backend = backend
        self.registry = registry
        self.clock = Clock()
        catalog = load_catalog(folder / "none.yaml", record_types=registry.record_types.values())
        self.views = Views(backend, Files(catalog, load_roles(folder / "none.yaml", catalog=catalog)), registry.calls)
        self.records = self.opened(b"a secret key of the instance")
        self.sections = 0

    def opened(self, *keys: bytes) -> Records:
        """A new service over the same store, with these secret keys."""
        return Records(
            backend=self.backend,
            views=self.views,
            registry=self.registry,
            cursors=Cursors(keys),
            now=self.clock,
            ids=Ids(self.clock),
        )

    def access(self, record_type: str = "customers", caller: Caller = TOKEN, tenant: str = "north") -> RecordAccess:
        return self.records.access(tenant, caller, record_type)

    async def features(self, data: dict[str, Any], tenant: str = "north") -> None:
        """Store a features section, as a push does."""
        self.sections += 1
        section = Section(
            name="features",
            data=data,
            version=self.sections,
            revision=self.sections,
            applied_at="2026-11-24T02:00:00.000Z",
            request_id="r",
            payload_type="features",
        )
        outcome = await self.backend.commit(tenant, Unit(now=1, puts=(section.put(),), revises=True))
        assert isinstance(outcome, Committed)

    async def create(self, record_type: str = "customers", **members: Any) -> dict[str, Any]:
        """Create a record that must be accepted."""
        data = {"name": "Ada Lovelace", **members}
        written = await self.records.writes.create(self.access(record_type), data, None)
        return read(written.body)

    async def list(self, record_type: str = "customers", caller: Caller = TOKEN, **parameters: Any) -> dict[str, Any]:
        """A page as the API shows it."""
        return read((await self.records.reads.list(self.access(record_type, caller), parameters)).body)

    async def ids(self, record_type: str = "customers", **parameters: Any) -> list[str]:
        """The ids of all pages."""
        found: list[str] = []
        cursor: str | None = None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = await self.list(record_type, **parameters, **more)
            await asyncio.sleep(0)  # a read from memory does not yield to other tasks
            found += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


async def unchanged(_tenant: str, caller: Caller) -> Caller:
    """A caller looked up again, as they were."""
    return caller


def read(body: bytes) -> Any:
    return msgspec.json.decode(body)

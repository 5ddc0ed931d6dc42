from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_core.access.callers import Callers
from crm_core.access.feeds import Feeds
from crm_core.access.passwords import Passwords
from crm_core.access.sessions import Sessions
from crm_core.access.signed import SignedTexts
from crm_core.access.signin import SignIn
from crm_core.access.throttle import LoginThrottle
from crm_core.access.tokens import Tokens
from crm_core.access.user import StoredUser
from crm_core.access.users import Users
from crm_core.model.caller import Caller
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.change_cursor import ChangeCursor
from crm_core.model.change_log import MODULES_CHANGED, SYNC_APPLIED
from crm_core.model.ids import Ids
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.storage import StorageBackend, StorageContext, Unit
from crm_core.settings.catalog import load_catalog
from crm_core.settings.roles import load_roles
from crm_core.workspace import Section, Views
from crm_features.payload import FeaturesType
from crm_tinydb.storage import TinyDBBackend
from event_streams import Reader, event, parts, record
from quick_passwords import QUICK

KEYS = (b"the-newest-secret-key-of-32-bytes", b"an-older-secret-key-of-32-bytes!!")
PASSWORD = "correct horse battery"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


@dataclass
class Files:
    """The current catalog and roles."""

    generation: int
    catalog: Catalog
    roles: Roles


@dataclass
class Access:
    """Everything of access over one store, as the composition root puts it together."""

    backend: StorageBackend
    clock: Clock
    files: Files
    views: Views
    users: Users
    sessions: Sessions
    signin: SignIn
    tokens: Tokens
    callers: Callers
    passwords: Passwords

    async def user(self, email: str = "ada@example.com", role: str = "admin", **more: Any) -> StoredUser:
        """A user with the password of these tests."""
        return await self.users.create("north", {"email": email, "role": role, "password": PASSWORD} | more, None)

    async def caller(self, stored: StoredUser) -> Caller:
        """The user, signed in."""
        return stored.caller((await self.sessions.open("north", stored, "api")).id)

    async def push(self, data: dict[str, Any], tenant: str = "north") -> None:
        """Store a features section, as a push does."""
        revision = (await self.views.of(tenant)).revision + 1
        section = Section(
            name="features",
            data=data,
            version=revision,
            revision=revision,
            applied_at="2026-11-24T02:00:00.000Z",
            request_id="r",
            payload_type="features",
        )
        await self.backend.commit(tenant, Unit(now=int(self.clock().timestamp()), puts=(section.put(),), revises=True))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ids(clock: Clock) -> Ids:
    return Ids(clock)


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[StorageBackend]:
    """The real default store with the tenants ``north`` and ``south``."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path / "tenants"))
    await store.create("north")
    await store.create("south")
    yield store
    await store.close()


@pytest.fixture
def access(backend: StorageBackend, clock: Clock, ids: Ids, tmp_path: Path) -> Access:
    """Users, sessions and tokens over the store, with the built-in catalog and roles."""
    catalog = load_catalog(tmp_path / "modules.yaml", record_types=())
    files = Files(1, catalog, load_roles(tmp_path / "roles.yaml", catalog=catalog))
    views = Views(backend, files, PayloadCalls({"features": FeaturesType()}))
    passwords, signed = Passwords(QUICK), SignedTexts(KEYS, clock)
    throttle = LoginThrottle(clock)
    users = Users(backend, views, passwords, throttle, now=clock, ids=ids)
    sessions = Sessions(backend, signed, clock, ids)
    tokens = Tokens(backend, views, KEYS, now=clock, ids=ids, record_types=("customers", "deals", "tasks"))
    return Access(
        backend=backend,
        clock=clock,
        files=files,
        views=views,
        users=users,
        sessions=sessions,
        signin=SignIn(users, views, sessions, passwords=passwords, throttle=throttle, signed=signed),
        tokens=tokens,
        callers=Callers(tokens, sessions),
        passwords=passwords,
    )


@pytest.fixture
def signs_in(access: Access) -> Callable[..., Awaitable[Any]]:
    """Sign in over the API; the tenant's name and a source are given."""

    async def signing_in(email: str = "ada@example.com", password: str = PASSWORD, source: str = "192.0.2.1") -> Any:
        return await access.signin.sign_in("north", email, password, source=source, kind="api")

    return signing_in


@pytest.fixture
async def feeds(access: Any) -> AsyncIterator[Feeds]:
    made = Feeds(access.backend, access.views, access.callers, asyncio.Event())
    yield made
    made._stop.set()
    await asyncio.sleep(0)
    await asyncio.gather(*(one.pump for one in made._channels.values() if one.pump), return_exceptions=True)


@pytest.fixture
def listening(feeds: Feeds) -> Any:
    """Open a stream and read its first event."""

    @asynccontextmanager
    async def listening(caller: Caller, after: ChangeCursor | None = None) -> AsyncIterator[Reader]:
        async with parts(feeds, "north", caller, after) as frames:
            reader = Reader(frames)
            at, event, _ = await reader.next()
            assert event == "ready"
            assert after in (None, at)
            yield reader

    return listening


@pytest.fixture
def changes(access: Any) -> Any:
    """Commit a change of a record of a type, or of the workspace; the place of its first event."""

    async def committed(subject: str, number: int = 0) -> ChangeCursor:
        if subject == "sync":
            entries = (event(SYNC_APPLIED, data={"n": number}), event(MODULES_CHANGED, data={}))
        else:
            entries = (record(subject, number),)
        await access.backend.commit("north", Unit(now=0, changes=entries))
        page = await access.backend.changes("north", None)
        return ChangeCursor(page.epoch, page.newest - len(entries) + 1)

    return committed


@pytest.fixture
async def by_token(access: Any) -> Any:
    """A caller with scopes."""

    async def made(*scopes: str) -> Caller:
        text, _ = await access.tokens.create("north", scopes=scopes, by=None)
        caller: Caller = await access.callers.bearer("north", text)
        return caller

    return made

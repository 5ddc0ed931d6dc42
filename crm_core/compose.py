"""The composition root: the store and the use cases of an installation are put together here, and nowhere else.

``open_backend`` opens the store, ``compose`` builds the use cases, ``application`` puts the web around them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec

from crm_core.access.callers import Callers
from crm_core.access.feeds import Feeds
from crm_core.access.passwords import Passwords
from crm_core.access.sessions import Sessions
from crm_core.access.signed import SignedTexts
from crm_core.access.signin import SignIn
from crm_core.access.stored_failures import StoredFailures
from crm_core.access.stored_streams import StoredStreams
from crm_core.access.throttle import CAPACITY, DRAIN_SECONDS, LoginThrottle
from crm_core.access.tokens import Tokens
from crm_core.access.users import Users
from crm_core.commands.copying import refuse_marked
from crm_core.model.frozen import frozen
from crm_core.model.ids import Ids
from crm_core.model.keys import TenantRoster
from crm_core.model.log import LogEntry
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageBackend, StorageContext
from crm_core.records.service import Records, reindex_of, shapes_of
from crm_core.services import Configured, Observer, Services
from crm_core.settings import InstanceSettings, StorageSettings
from crm_core.settings.installation import Installation, languages_of
from crm_core.sync.attempt_log import AttemptLog
from crm_core.sync.context import SyncContext
from crm_core.sync.health import HealthReports
from crm_core.sync.history import History
from crm_core.sync.limits import UnverifiedLimit
from crm_core.sync.log import SyncLog
from crm_core.sync.receive import Receiver
from crm_core.sync.section_facts import digest_of
from crm_core.sync.tenant_list import TenantList
from crm_core.workspace import Sealer, Views
from crm_core.workspace.cursors import Cursors

if TYPE_CHECKING:
    from quart import Quart

Now = Callable[[], datetime]


def clock() -> datetime:
    """The current time by the system's clock."""
    return datetime.now(UTC)


async def open_backend(installation: Installation, *, migrating: bool = False) -> StorageBackend:
    """Open the store, perhaps of an earlier version. The caller has the folder's lock if the backend is exclusive.

    Raises SetupError, also if the store was copied to another backend, and StorageUnavailable if it does not answer.
    """
    backend = await open_store(installation, migrating=migrating)
    try:
        if not migrating:
            await refuse_marked(backend)
    except BaseException:
        await backend.close()
        raise
    return backend


async def open_store(installation: Installation, *, migrating: bool = False) -> StorageBackend:
    """Open the store, which may not answer yet, or be one that must not be served. Raises SetupError."""
    return await _open(installation, installation.settings.storage, migrating=migrating)


@asynccontextmanager
async def open_stores(installation: Installation, *storages: StorageSettings) -> AsyncIterator[list[StorageBackend]]:
    """Several stores of an installation, to copy the first to another. The caller has the folder's lock."""
    async with AsyncExitStack() as stack:
        stores: list[StorageBackend] = []
        for storage in storages:
            stores.append(await _open(installation, storage, migrating=bool(stores)))
            stack.push_async_callback(stores[-1].close)
        yield stores


async def _open(installation: Installation, storage: StorageSettings, *, migrating: bool) -> StorageBackend:
    settings = installation.settings
    backend = installation.registry.backends[storage.backend]()
    await backend.open(
        StorageContext(
            tenants_dir=settings.tenants_dir,
            options=frozen(storage.options),
            log_keep_days=settings.sync.log_keep_days,
            changes_keep_days=settings.records.changes_keep_days,
            log_max_unverified=settings.sync.log_max_unverified,
            reindex=reindex_of(shapes_of(installation.registry)),
            digest=digest_of(installation.registry.calls),
            instance=settings.instance,
            migrating=migrating,
        )
    )
    return backend


class _Base(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that every use case is built on."""

    installation: Installation
    settings: InstanceSettings
    registry: Registry
    backend: StorageBackend
    configured: Configured
    views: Views
    sealer: Sealer
    cursors: Cursors
    now: Now
    ids: Ids

    def roster_of(self, tenant: str) -> TenantRoster:
        """A tenant's keys as they are configured at the time of the call."""
        return self.configured.roster.of(tenant)


def compose(
    installation: Installation,
    backend: StorageBackend,
    configured: Configured,
    now: Now = clock,
    random: Random | None = None,
) -> Services:
    """Build the use cases over an open store; ids are drawn from ``random``."""
    settings, registry = installation.settings, installation.registry
    base = _Base(
        installation=installation,
        settings=settings,
        registry=registry,
        backend=backend,
        configured=configured,
        views=Views(backend, configured, registry.calls),
        sealer=Sealer(settings.secret_keys),
        cursors=Cursors(settings.secret_keys),
        now=now,
        ids=Ids(now, random),
    )
    views, ids, passwords, signed = base.views, base.ids, Passwords(), SignedTexts(settings.secret_keys, now)
    throttle = LoginThrottle(now, _failures(backend))
    tokens = Tokens(backend, views, settings.secret_keys, now=now, ids=ids, record_types=registry.record_types)
    users = Users(backend, views, passwords, throttle, now=now, ids=ids)
    sessions = Sessions(backend, signed, now, ids)
    callers, stop = Callers(tokens, sessions), asyncio.Event()
    records = Records(backend=backend, views=views, registry=registry, cursors=base.cursors, now=now, ids=ids)
    observers: list[Observer] = []
    attempt_log = _attempt_log(base, observers)
    health = HealthReports(_sync_context(base), configured, records.orphaned)
    return Services(
        settings=settings,
        options=installation.options,
        host=installation.host,
        registry=registry,
        languages=languages_of(installation.host, settings),
        configured=configured,
        backend=backend,
        views=views,
        sealer=base.sealer,
        now=now,
        ids=ids,
        tokens=tokens,
        users=users,
        sessions=sessions,
        signin=SignIn(users, views, sessions, passwords=passwords, throttle=throttle, signed=signed),
        signed=signed,
        callers=callers,
        feeds=Feeds(backend, views, callers, stop, _streams(base)),
        records=records,
        receiver=_receiver(base, attempt_log, records),
        attempt_log=attempt_log,
        log=SyncLog(backend, base.cursors),
        health=health,
        tenant_list=TenantList(backend, health, base.cursors),
        history=_history(base, observers),
        observers=observers,
        stop=stop,
    )


def _failures(backend: StorageBackend) -> StoredFailures | None:
    """Where failed sign-ins are counted if other processes serve the same tenants; else this process counts them."""
    return None if backend.EXCLUSIVE else StoredFailures(backend, CAPACITY, DRAIN_SECONDS)


def _streams(base: _Base) -> StoredStreams | None:
    """Where streams are counted if other processes serve the same tenants."""
    return None if base.backend.EXCLUSIVE else StoredStreams(base.backend, base.ids, base.now)


def _attempt_log(base: _Base, observers: list[Observer]) -> AttemptLog:
    limit = UnverifiedLimit(base.settings.sync.unverified_per_minute, base.now, base.ids.new)
    return AttemptLog(_sync_context(base), limit, _to_all(observers))


def _receiver(base: _Base, attempt_log: AttemptLog, records: Records) -> Receiver:
    return Receiver(_sync_context(base), attempt_log=attempt_log, count_records=records.count)


def _history(base: _Base, observers: list[Observer]) -> History:
    return History(_sync_context(base), cursors=base.cursors, observe=_to_all(observers))


def _sync_context(base: _Base) -> SyncContext:
    return SyncContext(
        instance=base.settings.instance,
        settings=base.settings.sync,
        registry=base.registry,
        host=base.installation.host,
        options=base.installation.options,
        roster=base.roster_of,
        backend=base.backend,
        views=base.views,
        sealer=base.sealer,
        now=base.now,
        ids=base.ids,
    )


def _to_all(observers: list[Observer]) -> Observer:
    """One observer that passes an entry to all, those added later included."""

    def observe(entry: LogEntry) -> None:
        for each in observers:
            each(entry)

    return observe


def application(services: Services, shared_metrics: Path | None = None) -> Quart:
    """The application around the use cases. Imports the web only now: commands run without it.

    ``shared_metrics``: the folder in which several processes count.
    """
    from crm_core.web.lean_quart import import_quart

    import_quart()
    from crm_core.metrics import Metrics
    from crm_core.web.api import auth, bootstrap, changes, docs, events, mail, operators, records, sync, tokens, users
    from crm_core.web.app import create_app
    from crm_core.web.pages import pages, site_of
    from crm_core.web.pages.mail.sender import loaded_sender_of

    site, metrics = site_of(services), Metrics(services.registry.payload_types, shared_metrics)
    services.observers.append(metrics.attempt)
    services.registry.door.observers.append(metrics.slow_call)
    routes = [
        *sync.routes(services),
        *records.routes(services),
        *auth.routes(services),
        *users.routes(services),
        *tokens.routes(services),
        *changes.routes(services),
        *events.routes(services),
        *bootstrap.routes(services),
        *mail.routes(services, partial(loaded_sender_of, site)),
        *operators.routes(services, metrics),
    ]
    return create_app(services, [*routes, *docs.routes(services, routes)], pages(site), count=metrics.request)

"""The composition root: settings, plugins, store and use cases are put together here, and nowhere else.

``install`` reads instance.yaml and finds the plugins; ``on_demand`` and ``watched`` are the admin's other files, read
when asked for (commands) or at once and again when edited (the server); ``compose`` makes the use cases;
``application`` puts the web around them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from crm_core.access.callers import Callers
from crm_core.access.feeds import Feeds
from crm_core.access.passwords import Passwords
from crm_core.access.sessions import Sessions
from crm_core.access.signed import SignedTexts
from crm_core.access.signin import SignIn
from crm_core.access.throttle import LoginThrottle
from crm_core.access.tokens import Tokens
from crm_core.access.users import Users
from crm_core.errors import SetupError
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.frozen import frozen
from crm_core.model.ids import Ids
from crm_core.model.keys import Roster
from crm_core.model.log import LogEntry
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry, build_registry
from crm_core.plugin.storage import StorageBackend, StorageContext
from crm_core.records.service import Records
from crm_core.services import Configured, Services
from crm_core.settings import (
    Configuration,
    InstanceSettings,
    load_catalog,
    load_instance,
    load_roles,
    load_roster,
    read_options,
)
from crm_core.settings.plugins import load_plugins
from crm_core.sync.attempt_log import AttemptLog
from crm_core.sync.health import HealthReports
from crm_core.sync.history import History
from crm_core.sync.limits import UnverifiedLimit
from crm_core.sync.log import SyncLog
from crm_core.sync.receive import Receiver
from crm_core.workspace import Sealer, Views
from crm_core.workspace.cursors import Cursors

if TYPE_CHECKING:
    from crm_core.web.front import Asgi

Now = Callable[[], datetime]


def clock() -> datetime:
    """The moment by the system's clock."""
    return datetime.now(UTC)


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as it lies on disk: settings, plugins and what they brought; no store is open yet."""

    folder: Path
    environ: Mapping[str, str]
    settings: InstanceSettings
    host: PluginHost
    registry: Registry
    options: dict[str, msgspec.Struct]


def option_types(registry: Registry) -> dict[str, type[msgspec.Struct]]:
    """The types of the members of instance.yaml that belong to payload types."""
    return {name: one.OPTIONS for name, one in registry.payload_types.items() if one.OPTIONS is not None}


def install(folder: Path, environ: Mapping[str, str]) -> Installation:
    """Read instance.yaml and find the plugins. Raises SetupError; a broken plugin is one unless it is disabled."""
    settings = load_instance(folder / "instance.yaml", environ=environ)
    host = load_plugins(settings)
    if host.broken:
        raise SetupError(
            f"plugin {plugin.name}: {plugin.error} Mend it, or list it under plugins.disabled in instance.yaml."
            for plugin in host.broken
        )
    settings.plugins.require([plugin.name for plugin in host.plugins])
    registry = build_registry(host)
    settings.storage.require(registry.backends)
    options = read_options(settings, option_types(registry))
    return Installation(
        folder=folder, environ=environ, settings=settings, host=host, registry=registry, options=options
    )


def watched(installation: Installation, now: Now) -> Configuration:
    """The admin's files, all loaded now and again when they are edited. Raises SetupError with all that is wrong."""
    registry = installation.registry
    return Configuration(
        installation.folder,
        installation.settings,
        sections=registry.sections,
        schemes=registry.schemes,
        record_types=registry.record_types,
        environ=installation.environ,
        now=now,
    )


class ConfigurationOnDemand:
    """The admin's files, each loaded when it is first asked for: a broken roster stops no command but its own."""

    generation = 1
    roster_error: str | None = None

    def __init__(self, installation: Installation, now: Now) -> None:
        self._installation = installation
        self.loaded_at = now()

    @cached_property
    def roster(self) -> Roster:
        """The key roster. Raises SetupError."""
        one = self._installation
        return load_roster(
            one.folder / "keys.yaml",
            sections=one.registry.sections,
            schemes=one.registry.schemes,
            environ=one.environ,
        )

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog of modules. Raises SetupError."""
        one = self._installation
        return load_catalog(one.folder / "modules.yaml", record_types=one.registry.record_types)

    @cached_property
    def roles(self) -> Roles:
        """The local roles. Raises SetupError."""
        return load_roles(self._installation.folder / "roles.yaml", catalog=self.catalog)

    def errors(self) -> tuple[str, ...]:
        """Nothing: what does not load is told when it is asked for."""
        return ()


async def open_backend(installation: Installation) -> StorageBackend:
    """The store, open. The caller holds the folder's lock where the backend is exclusive. Raises SetupError."""
    settings = installation.settings
    backend = installation.registry.backends[settings.storage.backend]()
    await backend.open(
        StorageContext(
            tenants_dir=settings.tenants_dir,
            options=frozen(settings.storage.options),
            log_keep_days=settings.sync.log_keep_days,
            log_max_unverified=settings.sync.log_max_unverified,
        )
    )
    return backend


def compose(installation: Installation, backend: StorageBackend, configured: Configured, now: Now = clock) -> Services:
    """The use cases over an open store."""
    settings, registry = installation.settings, installation.registry
    ids = Ids(now)
    sealer = Sealer(settings.secret_keys)
    views = Views(backend, configured, registry.sections)
    passwords, signed = Passwords(), SignedTexts(settings.secret_keys, now)
    tokens = Tokens(backend, views, settings.secret_keys, now=now, ids=ids, record_types=registry.record_types)
    throttle = LoginThrottle(now)
    users = Users(backend, views, passwords, throttle, now=now, ids=ids)
    sessions = Sessions(backend, signed, now, ids)
    callers, stop = Callers(tokens, sessions), asyncio.Event()
    records = Records(
        backend=backend, views=views, registry=registry, secret_keys=settings.secret_keys, now=now, ids=ids
    )
    return Services(
        folder=installation.folder,
        settings=settings,
        options=installation.options,
        host=installation.host,
        registry=registry,
        configured=configured,
        backend=backend,
        views=views,
        sealer=sealer,
        now=now,
        ids=ids,
        tokens=tokens,
        users=users,
        sessions=sessions,
        signin=SignIn(users, views, sessions, passwords=passwords, throttle=throttle, signed=signed),
        signed=signed,
        callers=callers,
        feeds=Feeds(backend, views, callers, stop),
        stop=stop,
        records=records,
        **_sync(installation, backend, configured, records, views=views, sealer=sealer, now=now, ids=ids),
    )


def _sync(
    installation: Installation,
    backend: StorageBackend,
    configured: Configured,
    records: Records,
    *,
    views: Views,
    sealer: Sealer,
    now: Now,
    ids: Ids,
) -> dict[str, Any]:
    """The use cases of sync, and who observes its attempts."""
    settings, registry = installation.settings, installation.registry
    observers: list[Callable[[LogEntry], None]] = []
    cursors = Cursors(settings.secret_keys)

    def observe(entry: LogEntry) -> None:
        for each in observers:
            each(entry)

    attempt_log = AttemptLog(
        backend=backend,
        settings=settings.sync,
        limit=UnverifiedLimit(settings.sync.unverified_per_minute, now, ids.new),
        now=now,
        ids=ids,
        observe=observe,
    )
    shared: dict[str, Any] = {
        "instance": settings.instance,
        "settings": settings.sync,
        "registry": registry,
        "backend": backend,
        "views": views,
        "now": now,
    }
    judging: dict[str, Any] = {
        "host": installation.host,
        "options": installation.options,
        "roster": lambda tenant: configured.roster.of(tenant),  # noqa: PLW0108 -- the one in force at that time
        "sealer": sealer,
        "ids": ids,
    }

    return {
        "astray": attempt_log.astray,
        "receiver": Receiver(**shared, **judging, attempt_log=attempt_log, count_records=records.count),
        "log": SyncLog(backend, cursors),
        "health": HealthReports(**shared, configured=configured),
        "history": History(**shared, **judging, cursors=cursors, observe=observe),
        "observers": observers,
        "started_at": now(),
    }


def application(services: Services) -> Asgi:
    """The ASGI application around the use cases. Only now is the web loaded: commands do without it."""
    from crm_core.metrics import Metrics
    from crm_core.web.api import auth, bootstrap, docs, events, mail, operators, records, sync, users
    from crm_core.web.app import create_app
    from crm_core.web.pages import pages, site_of

    site, metrics = site_of(services), Metrics(services.registry.payload_types)
    services.observers.append(metrics.attempt)
    operations = [
        *sync.operations(services),
        *records.operations(services),
        *auth.operations(services),
        *users.operations(services),
        *events.operations(services),
        *bootstrap.operations(services),
        *mail.operations(services, site),
        *operators.operations(services, metrics),
    ]
    documented = [*operations, *docs.operations(services, operations)]
    return create_app(services, documented, pages(site), counted=metrics.request)

"""The composition root: ``open_backend`` opens the store of an installation, ``application`` builds the web.

Between them are the use cases, which ``crm_core.services`` builds.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Final

from crm_core.commands.copying import refuse_marked
from crm_core.errors import CrmError, SetupError
from crm_core.lean_imports import without
from crm_core.model.frozen import frozen
from crm_core.plugin.storage import StorageBackend, StorageContext
from crm_core.records.reindexing import reindex_of
from crm_core.server_log import origin
from crm_core.services import Services
from crm_core.settings.installation import Installation
from crm_core.settings.instance import StorageSettings
from crm_core.sync.section_facts import digest_of
from crm_core.workspace import Workspace

if TYPE_CHECKING:
    from crm_core.web.api.mail import Sender
    from crm_core.web.dispatcher import Dispatcher
    from crm_core.web.front import Front, Pages

UNUSED: Final = ("hypercorn", "hypercorn.asyncio", "hypercorn.config", "hypercorn.typing")
"""A second server, which the web framework imports and we never use."""


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
    context = StorageContext(
        tenants_dir=settings.tenants_dir,
        options=frozen(storage.options),
        log_keep_days=settings.sync.log_keep_days,
        changes_keep_days=settings.records.changes_keep_days,
        log_max_unverified=settings.sync.log_max_unverified,
        reindex=reindex_of(installation.registry),
        digest=digest_of(installation.registry.calls),
        instance=settings.instance,
        migrating=migrating,
    )
    try:
        backend = installation.registry.backends[storage.backend]()
        await backend.open(context)
    except SetupError as error:
        raise SetupError([storage.located(problem) for problem in error.problems]) from None
    except (CrmError, OSError):
        raise
    except Exception as error:  # foreign code; its words may contain a password of the options
        plugin = installation.registry.owners["storage backend", storage.backend]
        place = " at ".join(origin(error).values())
        raise SetupError([storage.located(f"the plugin {plugin} failed when its store was opened: {place}")]) from error
    return backend


def application(services: Services, shared_metrics: Path | None = None) -> Front:
    """The application around the use cases. Imports the web only now: commands run without it.

    ``shared_metrics``: the folder in which several processes count.
    """
    from crm_core.metrics import Metrics
    from crm_core.web.api import auth, bootstrap, changes, docs, events, mail, operators, records, sync, tokens, users
    from crm_core.web.dispatcher import Dispatcher
    from crm_core.web.front import Front
    from crm_core.web.loaded_later import LoadedLater

    metrics = Metrics(services.registry.payload_types, shared_metrics)
    services.observers.append(metrics.attempt)
    services.registry.door.observers.append(metrics.slow_call)
    _ = services.languages.by_tag  # a catalogue that cannot be read stops the start
    pages = LoadedLater(lambda: _load_rest(services, dispatcher))

    async def sender_of(workspace: Workspace) -> Sender:
        return await (await pages.get()).sender_of(workspace)

    routes = [
        *sync.routes(services),
        *records.routes(services),
        *auth.routes(services),
        *users.routes(services),
        *tokens.routes(services),
        *changes.routes(services),
        *events.routes(services),
        *bootstrap.routes(services),
        *mail.routes(services, sender_of),
        *operators.routes(services, metrics),
    ]
    dispatcher = Dispatcher(services, [*routes, *docs.routes(services, routes)])
    settings = services.settings
    return Front(
        pages,
        dispatcher,
        services.feeds,
        now=services.now,
        new_id=services.ids.at,
        instance=settings.instance,
        proxies=settings.trusted_proxies,
        count=metrics.request,
    )


def _load_rest(services: Services, dispatcher: Dispatcher) -> Pages:
    """The pages, and every module that a request may need: later, an upgrade may have replaced the program's files."""
    from crm_core import access, commands, records, sync, workspace

    for package in (access, commands, records, sync, workspace):
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    with without(*UNUSED):
        from crm_core.web.app import create_app
    from crm_core.web.front import Pages
    from crm_core.web.pages import pages, site_of
    from crm_core.web.pages.mail.sender import loaded_sender_of

    site = site_of(services)
    answer = pages(site)
    framework: Any = create_app(dispatcher, answer)  # whose messages are typed dictionaries
    loaded = Pages(answer, framework, partial(loaded_sender_of, site))
    gc.freeze()  # the collector would search all of it again and again in vain
    return loaded

"""All that the use cases of one instance are made of, built once in ``compose``: what routes and commands get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from crm_core.access.callers import Callers
from crm_core.access.feeds import Feeds
from crm_core.access.sessions import Sessions
from crm_core.access.signed import SignedTexts
from crm_core.access.signin import SignIn
from crm_core.access.tokens import Tokens
from crm_core.access.users import Users
from crm_core.errors import CrmError
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.ids import Ids
from crm_core.model.keys import Roster
from crm_core.model.log import LogEntry
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageBackend
from crm_core.records.service import Records
from crm_core.settings import InstanceSettings
from crm_core.sync.health import HealthReports
from crm_core.sync.history import History
from crm_core.sync.log import SyncLog
from crm_core.sync.receive import Receiver
from crm_core.workspace import Sealer, Views


class Configured(Protocol):
    """The files that an admin edits, as in force now."""

    @property
    def generation(self) -> int:
        """Grows whenever an edit came into force."""

    @property
    def roster(self) -> Roster:
        """The key roster."""

    @property
    def catalog(self) -> Catalog:
        """The catalog of modules."""

    @property
    def roles(self) -> Roles:
        """The local roles."""

    @property
    def loaded_at(self) -> datetime:
        """When the roster in force was loaded."""

    @property
    def roster_error(self) -> str | None:
        """Why the roster's newest edit is not in force."""

    def errors(self) -> tuple[str, ...]:
        """Why the newest edits of any file are not in force."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running instance. ``stop`` is set when the server drains: event streams end by it."""

    folder: Path  # the config folder
    settings: InstanceSettings
    options: dict[str, msgspec.Struct]  # of plugins, by payload type
    host: PluginHost
    registry: Registry
    configured: Configured
    backend: StorageBackend
    views: Views
    sealer: Sealer
    now: Callable[[], datetime]
    ids: Ids
    tokens: Tokens
    users: Users
    sessions: Sessions
    signin: SignIn
    signed: SignedTexts
    callers: Callers
    feeds: Feeds
    records: Records
    receiver: Receiver
    astray: Callable[..., CrmError]  # of a push for no tenant here
    log: SyncLog
    health: HealthReports
    history: History
    observers: list[Callable[[LogEntry], None]]  # of sync attempts
    started_at: datetime
    stop: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

"""The use cases of one instance and their parts, built in ``compose`` and handed to routes, pages and commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from crm_core.access.callers import Callers
from crm_core.access.feeds import Feeds
from crm_core.access.sessions import Sessions
from crm_core.access.signed import SignedTexts
from crm_core.access.signin import SignIn
from crm_core.access.tokens import Tokens
from crm_core.access.users import Users
from crm_core.language import Languages
from crm_core.model.ids import Ids
from crm_core.model.log import LogEntry
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageBackend
from crm_core.records.service import Records
from crm_core.settings import InstanceSettings
from crm_core.sync.attempt_log import AttemptLog
from crm_core.sync.health import HealthConfiguration, HealthReports
from crm_core.sync.history import History
from crm_core.sync.log import SyncLog
from crm_core.sync.receive import Receiver
from crm_core.sync.tenant_list import TenantList
from crm_core.workspace import Sealer, Views

Observer = Callable[[LogEntry], None]
"""Called with the log entry of each sync attempt."""


class Configured(HealthConfiguration, Protocol):
    """The configuration files, each in the version that was last loaded without an error."""

    def errors(self) -> tuple[str, ...]:
        """Why the newest edits are not in effect, one message a file."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running instance. ``stop`` is set when the server drains, which ends event streams."""

    settings: InstanceSettings
    options: dict[str, msgspec.Struct]  # of plugins, by payload type
    host: PluginHost
    registry: Registry
    languages: Languages
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
    attempt_log: AttemptLog
    log: SyncLog
    health: HealthReports
    tenant_list: TenantList
    history: History
    observers: list[Observer]
    stop: asyncio.Event

"""The use cases of one instance over its open store, each built when it is first used.

Routes, pages and commands get them as one value. A command needs few of them, and imports only what those need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from crm_core.model.ids import Ids
from crm_core.settings.installation import Installation, languages_of
from crm_core.workspace.views import Views

if TYPE_CHECKING:
    from random import Random

    from crm_core.access.callers import Callers
    from crm_core.access.feeds import Feeds
    from crm_core.access.passwords import Passwords
    from crm_core.access.sessions import Sessions
    from crm_core.access.signed import SignedTexts
    from crm_core.access.signin import SignIn
    from crm_core.access.throttle import LoginThrottle
    from crm_core.access.tokens import Tokens
    from crm_core.access.users import Users
    from crm_core.language import Languages
    from crm_core.model.keys import TenantRoster
    from crm_core.model.log import LogEntry
    from crm_core.plugin.storage import StorageBackend
    from crm_core.records.service import Records
    from crm_core.sync.attempt_log import AttemptLog
    from crm_core.sync.context import SyncContext
    from crm_core.sync.health import Configured, HealthReports
    from crm_core.sync.history import History
    from crm_core.sync.log import SyncLog
    from crm_core.sync.receive import Receiver
    from crm_core.sync.tenant_list import TenantList
    from crm_core.workspace.cursors import Cursors
    from crm_core.workspace.sealing import Sealer

Observer = Callable[["LogEntry", float | None], None]
"""Called with the log entry of each sync attempt, and the seconds from its last byte to the decision.

A restore, which no one sent, has none.
"""


class Services:
    """The parts of a running instance; ids are drawn from ``random``.

    ``stop`` is set when the server drains, which ends event streams; ``observers`` see each sync attempt.
    """

    def __init__(
        self,
        installation: Installation,
        backend: StorageBackend,
        configured: Configured,
        now: Callable[[], datetime],
        random: Random | None = None,
    ) -> None:
        self.settings = installation.settings
        self.options = installation.options
        self.host = installation.host
        self.registry = installation.registry
        self.languages: Languages = languages_of(installation.host, installation.settings)
        self.backend = backend
        self.configured = configured
        self.now = now
        self.ids = Ids(now, random)
        self.views = Views(backend, configured, self.registry.calls)
        self.observers: list[Observer] = []
        self.stop = asyncio.Event()

    @cached_property
    def sealer(self) -> Sealer:
        """Seals the secrets of sections."""
        from crm_core.workspace.sealing import Sealer

        return Sealer(self.settings.secret_keys)

    @cached_property
    def cursors(self) -> Cursors:
        """Makes and reads paging cursors."""
        from crm_core.workspace.cursors import Cursors

        return Cursors(self.settings.secret_keys)

    @cached_property
    def signed(self) -> SignedTexts:
        """Makes and reads signed texts."""
        from crm_core.access.signed import SignedTexts

        return SignedTexts(self.settings.secret_keys, self.now)

    @cached_property
    def tokens(self) -> Tokens:
        """API tokens."""
        from crm_core.access.tokens import Tokens

        return Tokens(
            self.backend,
            self.views,
            self.settings.secret_keys,
            now=self.now,
            ids=self.ids,
            record_types=self.registry.record_types,
        )

    @cached_property
    def users(self) -> Users:
        """The users of each tenant."""
        from crm_core.access.users import Users

        return Users(self.backend, self.views, self._passwords, self._throttle, now=self.now, ids=self.ids)

    @cached_property
    def sessions(self) -> Sessions:
        """Sessions of signed-in users."""
        from crm_core.access.sessions import Sessions

        return Sessions(self.backend, self.signed, self.now, self.ids)

    @cached_property
    def signin(self) -> SignIn:
        """Signing in."""
        from crm_core.access.signin import SignIn

        return SignIn(
            self.users,
            self.views,
            self.sessions,
            passwords=self._passwords,
            throttle=self._throttle,
            signed=self.signed,
        )

    @cached_property
    def callers(self) -> Callers:
        """Who makes a request."""
        from crm_core.access.callers import Callers

        return Callers(self.tokens, self.sessions)

    @cached_property
    def feeds(self) -> Feeds:
        """Event streams; counted in the store if other processes serve the same tenants."""
        from crm_core.access.feeds import Feeds
        from crm_core.access.stored_streams import StoredStreams

        stored = None if self.backend.EXCLUSIVE else StoredStreams(self.backend, self.ids, self.now)
        return Feeds(self.backend, self.views, self.callers, self.stop, stored)

    @cached_property
    def records(self) -> Records:
        """Reads and writes of records."""
        from crm_core.records.service import Records

        return Records(
            backend=self.backend,
            views=self.views,
            registry=self.registry,
            cursors=self.cursors,
            now=self.now,
            ids=self.ids,
        )

    @cached_property
    def receiver(self) -> Receiver:
        """Receives pushes."""
        from crm_core.sync.receive import Receiver

        return Receiver(self._sync, attempt_log=self.attempt_log, count_records=self.records.count)

    @cached_property
    def attempt_log(self) -> AttemptLog:
        """Logs sync attempts."""
        from crm_core.sync.attempt_log import AttemptLog
        from crm_core.sync.limits import UnverifiedLimit

        limit = UnverifiedLimit(self.settings.sync.unverified_per_minute, self.now, self.ids.new)
        return AttemptLog(self._sync, limit, self._observe)

    @cached_property
    def log(self) -> SyncLog:
        """Reads the sync log."""
        from crm_core.sync.log import SyncLog

        return SyncLog(self.backend, self.cursors)

    @cached_property
    def health(self) -> HealthReports:
        """The sync health of tenants."""
        from crm_core.sync.health import HealthReports

        return HealthReports(self._sync, self.configured, self.records.orphaned)

    @cached_property
    def tenant_list(self) -> TenantList:
        """The tenants of the instance."""
        from crm_core.sync.tenant_list import TenantList

        return TenantList(self.backend, self.health, self.cursors)

    @cached_property
    def history(self) -> History:
        """The revisions of sections."""
        from crm_core.sync.history import History

        return History(self._sync, cursors=self.cursors, observe=self._observe)

    @cached_property
    def _passwords(self) -> Passwords:
        from crm_core.access.passwords import Passwords

        return Passwords()

    @cached_property
    def _throttle(self) -> LoginThrottle:
        """Failed sign-ins are counted in the store if other processes serve the same tenants, else in this process."""
        from crm_core.access.stored_failures import StoredFailures
        from crm_core.access.throttle import CAPACITY, DRAIN_SECONDS, LoginThrottle

        stored = None if self.backend.EXCLUSIVE else StoredFailures(self.backend, CAPACITY, DRAIN_SECONDS)
        return LoginThrottle(self.now, stored)

    @cached_property
    def _sync(self) -> SyncContext:
        from crm_core.sync.context import SyncContext
        from crm_core.sync.revisions import Fingerprints

        return SyncContext(
            instance=self.settings.instance,
            settings=self.settings.sync,
            registry=self.registry,
            host=self.host,
            options=self.options,
            roster=self._roster_of,
            backend=self.backend,
            views=self.views,
            fingerprints=Fingerprints(self.backend),
            sealer=self.sealer,
            now=self.now,
            ids=self.ids,
        )

    def _roster_of(self, tenant: str) -> TenantRoster:
        return self.configured.roster.of(tenant)  # as it is configured at the time of the call

    def _observe(self, entry: LogEntry, seconds: float | None = None) -> None:
        for observe in self.observers:
            observe(entry, seconds)

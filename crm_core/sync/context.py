"""The parts of an instance that receiving and restoring work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from crm_core.model.ids import Ids
from crm_core.model.keys import TenantRoster
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageBackend
from crm_core.settings.sync import SyncSettings
from crm_core.sync.apply import Plan, plan
from crm_core.sync.outcome import SectionOutcome
from crm_core.sync.revisions import Fingerprints
from crm_core.sync.sections import Intent
from crm_core.workspace import Views, Workspace
from crm_core.workspace.sealing import Sealer


class SyncContext(msgspec.Struct, frozen=True, kw_only=True):
    """``roster`` returns a tenant's current entry; ``options`` are those of the payload types."""

    instance: str
    settings: SyncSettings
    registry: Registry
    host: PluginHost
    options: Mapping[str, msgspec.Struct]
    roster: Callable[[str], TenantRoster]
    backend: StorageBackend
    views: Views
    fingerprints: Fingerprints
    sealer: Sealer
    now: Callable[[], datetime]
    ids: Ids

    def plan(self, outcomes: list[SectionOutcome], workspace: Workspace, intent: Intent, roster: TenantRoster) -> Plan:
        """Plan to apply outcomes under the instance's settings."""
        return plan(
            outcomes,
            workspace,
            intent,
            sealer=self.sealer,
            calls=self.registry.calls,
            keep=self.settings.history_keep,
            revoked=roster.revoked,
        )

    def learn(self, planned: Plan) -> None:
        """Cache what the commit of a plan made known."""
        self.views.learn(planned.after)
        for section in planned.changed:
            self.fingerprints.learn(planned.after, section, planned.intent.fingerprint)

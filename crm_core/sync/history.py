"""The applied revisions of a section, and restoring one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from crm_core.errors import Finding, NotFound, StorageUnavailable
from crm_core.model.ids import Ids
from crm_core.model.keys import TenantRoster
from crm_core.model.log import LogEntry, Status
from crm_core.model.times import to_wire
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import Committed, PageQuery, StorageBackend, Unit, WorkspaceAt
from crm_core.settings import SyncSettings
from crm_core.sync import content_checks
from crm_core.sync.apply import HISTORY, Applied, Intent, Plan, Receipt, history_id, plan, unit_of
from crm_core.sync.outcome import SectionOutcome, restored
from crm_core.sync.signature_checks import revoked_versions
from crm_core.workspace import Sealer, Views, Workspace
from crm_core.workspace.cursors import Cursors

MOST: Final = 500
_ROUNDS: Final = 100


class History:
    """History and restore for the tenants of one instance. ``observe`` receives a restore's log entry."""

    def __init__(
        self,
        *,
        instance: str,
        settings: SyncSettings,
        registry: Registry,
        host: PluginHost,
        options: Mapping[str, msgspec.Struct],
        roster: Callable[[str], TenantRoster],
        backend: StorageBackend,
        views: Views,
        sealer: Sealer,
        cursors: Cursors,
        now: Callable[[], datetime],
        ids: Ids,
        observe: Callable[[LogEntry], None],
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._registry = registry
        self._host = host
        self._options = options
        self._roster = roster
        self._backend = backend
        self._views = views
        self._sealer = sealer
        self._cursors = cursors
        self._now = now
        self._ids = ids
        self._observe = observe

    async def page(
        self, tenant: str, section: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Applied], str | None]:
        """Revisions of a section, newest first, and the cursor of the next page. Raises NotFound, InvalidCursor."""
        self._require(section)
        context = f"history {tenant} {section}"
        query = PageQuery(
            collection=HISTORY,
            sort="revision",
            descending=True,
            filters=(("section", section),),
            after=None if cursor is None else tuple(self._cursors.read(context, cursor)),
            limit=limit,
        )
        page = await self._backend.page(tenant, query)
        items = [msgspec.json.decode(document.body, type=Applied) for document in page.documents]
        return items, None if page.next is None else self._cursors.make(context, page.next)

    async def revision(self, tenant: str, section: str, revision: int) -> Applied:
        """One stored revision of a section. Raises NotFound."""
        self._require(section)
        read = await self._backend.get(tenant, HISTORY, history_id(section, revision))
        if read.document is None:
            raise NotFound(f"The history of {section} has no revision {revision}. Only the newest ones are stored.")
        return msgspec.json.decode(read.document.body, type=Applied)

    async def restore(
        self,
        tenant: str,
        section: str,
        revision: int,
        *,
        actor: str,
        request_id: str,
        client_request_id: str | None = None,
        source: str | None = None,
        preview: bool = False,
    ) -> Receipt:
        """Restore an earlier revision as a new one. The version floor stays, and current secrets do.

        ``actor``: who requested it, as logs name it.

        Raises NotFound, InvalidPayload, SecretRequired, ModuleBlocked, ModuleUnsupported, PluginFailed,
        StorageUnavailable, StorageFull.
        """
        wanted = await self.revision(tenant, section, revision)
        for _ in range(_ROUNDS):
            workspace, now = await self._views.of(tenant), self._now()
            outcome, warnings = self._checked(workspace, wanted)
            planned = plan(
                [outcome],
                workspace,
                Intent(
                    payload_type=section,
                    version=wanted.version,
                    request_id=request_id,
                    applied_at=to_wire(now),
                    actor=actor,
                    key_version=None,
                ),
                sealer=self._sealer,
                types=self._registry.sections,
                keep=self._settings.history_keep,
                revoked=revoked_versions(self._roster(tenant)),
            )
            status: Status = "previewed" if preview else "applied"
            entry = self._entry(planned, status, client_request_id, source)
            if preview:
                unit = Unit(now=int(now.timestamp()), entries=(entry,))
            else:
                unit = await unit_of(self._backend, planned, entry=entry, now=int(now.timestamp()))
            committed = await self._backend.commit(tenant, unit)
            if isinstance(committed, Committed):
                self._observe(entry)
                return planned.receipt(status, warnings, committed.head)
        raise StorageUnavailable("Too many changes at the same time. Try again.", retry_after=1)

    async def reset_version(self, tenant: str, section: str) -> int:
        """Reset the version floor of a section, after a platform's mistake; returns the old one. Raises NotFound."""
        self._require(section)
        for _ in range(_ROUNDS):
            workspace = await self._views.of(tenant)
            current = workspace.sections.get(section)
            if current is None:
                raise NotFound(f"Nothing was applied to {section} yet, so it accepts every version.")
            unit = Unit(
                now=int(self._now().timestamp()),
                expect=(WorkspaceAt(workspace.revision),),
                puts=(msgspec.structs.replace(current, versions={}).put(),),
                revises=True,
            )
            if isinstance(await self._backend.commit(tenant, unit), Committed):
                return current.floor(())
        raise StorageUnavailable("Too many changes at the same time. Try again.", retry_after=1)

    def _require(self, section: str) -> None:
        if section not in self._registry.sections:
            known = ", ".join(self._registry.sections)
            raise NotFound(f"Unknown section {section[:64]!a}. Known sections: {known}.")

    def _checked(self, workspace: Workspace, wanted: Applied) -> tuple[SectionOutcome, list[Finding]]:
        """Check schema, modules and validators of an earlier revision against the current workspace."""
        before = workspace.sections.get(wanted.section)
        assert before is not None  # it has a history
        outcome = restored(before, wanted.data, self._registry.sections[wanted.section])
        contexts = content_checks.contexts_of([outcome], workspace, self._registry, self._options)
        warnings = content_checks.schema_fits([outcome], contexts, self._registry)
        content_checks.modules_permitted([outcome], workspace, self._registry, self._host)
        warnings += content_checks.validators_content([outcome], contexts, self._host)
        return outcome, warnings

    def _entry(self, planned: Plan, status: Status, client_request_id: str | None, source: str | None) -> LogEntry:
        """The log entry of a restore, which no key signed."""
        intent = planned.intent
        return LogEntry(
            id=self._ids.new(),
            received_at=intent.applied_at,
            instance=self._instance,
            tenant=planned.before.tenant,
            payload_type=intent.payload_type,
            payload_version=intent.version,
            mode="apply" if status == "applied" else "preview",
            signature_result="unchecked",
            status=status,
            request_id=intent.request_id,
            client_request_id=client_request_id,
            source_ip=source,
            duration_ms=0,
            revision=planned.after.revision if status == "applied" else None,
            changes_count=len(planned.changes),
            actor=intent.actor,
        )

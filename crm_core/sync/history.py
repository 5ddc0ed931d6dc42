"""The applied revisions of a section, and restoring one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from crm_core.errors import Finding, InvalidPayload, NotFound, StorageUnavailable
from crm_core.model.diff import pointer_to
from crm_core.model.log import LogEntry, Status
from crm_core.model.times import to_wire
from crm_core.plugin.storage import Committed, Unit
from crm_core.sync import content_checks
from crm_core.sync.apply import Plan, Receipt, ReceiptStatus, unit_of
from crm_core.sync.context import SyncContext
from crm_core.sync.outcome import SectionOutcome, restored
from crm_core.sync.revisions import HISTORY, Applied, history_id
from crm_core.sync.sections import Intent
from crm_core.workspace import Workspace
from crm_core.workspace.cursors import Cursors
from crm_core.workspace.reading import upgraded
from crm_core.workspace.storing import commit

MOST: Final = 500
_ROUNDS: Final = 100


class History:
    """History and restore for the tenants of one instance. ``observe`` receives a restore's log entry."""

    def __init__(self, context: SyncContext, *, cursors: Cursors, observe: Callable[[LogEntry], None]) -> None:
        self._context = context
        self._cursors = cursors
        self._observe = observe

    async def page(
        self, tenant: str, section: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Applied], str | None]:
        """Revisions of a section, newest first, and the cursor of the next page. Raises NotFound, InvalidCursor."""
        self._require(section)
        context = f"revisions {tenant} {section}"
        last = None if cursor is None else self._cursors.read(context, cursor)
        stored = (await self._context.views.of(tenant)).sections.get(section)
        left = [each for each in reversed(stored.history if stored else ()) if last is None or each < last]
        reads = [self._context.backend.get(tenant, HISTORY, history_id(section, each)) for each in left[:limit]]
        found = [read.document for read in await asyncio.gather(*reads)]  # one that a push has dropped is absent
        items = [msgspec.json.decode(document.body, type=Applied) for document in found if document is not None]
        return items, self._cursors.make(context, left[limit - 1]) if len(left) > limit else None

    async def revision(self, tenant: str, section: str, revision: int) -> Applied:
        """One stored revision of a section. Raises NotFound."""
        self._require(section)
        read = await self._context.backend.get(tenant, HISTORY, history_id(section, revision))
        if read.document is None:
            raise NotFound(f"The history of {section} has no revision {revision}. Its list shows the stored ones.")
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
            workspace, now = await self._context.views.of(tenant), self._context.now()
            outcome, warnings = self._checked(workspace, wanted)
            intent = Intent(
                payload_type=section,
                version=wanted.version,
                request_id=request_id,
                applied_at=to_wire(now),
                actor=actor,
                key_version=None,
            )
            planned = self._context.plan([outcome], workspace, intent, self._context.roster(tenant))
            status: ReceiptStatus = "previewed" if preview else "applied"
            entry = self._entry(planned, status, client_request_id, source)
            if preview:
                unit = Unit(now=int(now.timestamp()), entries=(entry,))
            else:
                unit = await unit_of(self._context.fingerprints, planned, entry=entry, now=int(now.timestamp()))
            committed = await commit(self._context.backend, tenant, unit)
            if isinstance(committed, Committed):
                self._observe(entry)
                return planned.receipt(status, warnings + planned.clashes(), committed.head)
        raise StorageUnavailable("Too many changes at the same time. Try again.", retry_after=1)

    async def reset_version(self, tenant: str, section: str) -> int:
        """Reset the version floor of a section, after a platform's mistake; returns the old one. Raises NotFound."""
        self._require(section)
        for _ in range(_ROUNDS):
            workspace = await self._context.views.of(tenant)
            reading = workspace.readings.get(section)
            if reading is None:
                raise NotFound(f"Nothing was applied to {section} yet, so it accepts every version.")
            unit = Unit(
                now=int(self._context.now().timestamp()),
                expect=(workspace.unchanged,),
                puts=(msgspec.structs.replace(reading.stored, versions={}).put(),),
                revises=True,
            )
            if isinstance(await commit(self._context.backend, tenant, unit), Committed):
                return reading.stored.floor(())
        raise StorageUnavailable("Too many changes at the same time. Try again.", retry_after=1)

    def _require(self, section: str) -> None:
        if section not in self._context.registry.sections:
            known = ", ".join(self._context.registry.sections)
            raise NotFound(f"Unknown section {section[:64]!a}. Known sections: {known}.")

    def _checked(self, workspace: Workspace, wanted: Applied) -> tuple[SectionOutcome, list[Finding]]:
        """Check schema, modules and validators of an earlier revision against the current workspace."""
        before = workspace.sections.get(wanted.section)
        assert before is not None  # it has a history
        payload_type, calls = self._context.registry.sections[wanted.section], self._context.registry.calls
        try:
            data = upgraded(wanted.data, wanted.schema, payload_type, calls)
        except ValueError as error:
            message = f"The payload type can no longer read this revision. {error} Restore a newer one."
            raise InvalidPayload(
                message, errors=[Finding(pointer_to(before.name), "section_unreadable", message)]
            ) from error
        outcome = restored(before, data, payload_type)
        contexts = content_checks.contexts_of([outcome], workspace, self._context.registry, self._context.options)
        warnings = content_checks.schema_fits([outcome], contexts, self._context.registry)
        warnings += content_checks.modules_permitted([outcome], workspace, self._context.registry, self._context.host)
        warnings += content_checks.validators_content([outcome], contexts, self._context.host)
        return outcome, warnings

    def _entry(self, planned: Plan, status: Status, client_request_id: str | None, source: str | None) -> LogEntry:
        """The log entry of a restore, which no key signed."""
        intent = planned.intent
        return LogEntry(
            id=self._context.ids.new(),
            received_at=intent.applied_at,
            instance=self._context.instance,
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

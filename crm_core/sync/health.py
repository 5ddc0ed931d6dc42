"""Sync health: a status, its reasons as sentences, and the facts that a platform needs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from crm_core.errors import StorageUnavailable, UnknownTenant
from crm_core.model.keys import Key, Roster, TenantRoster
from crm_core.model.log import LogEntry
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin.query import Tally
from crm_core.plugin.storage import EntryQuery, Summary
from crm_core.plugin.summary import RECENT
from crm_core.sync.catalog_gaps import catalog_gaps
from crm_core.sync.context import SyncContext
from crm_core.sync.health_reasons import mismatches, orphan_sentence, staleness
from crm_core.sync.section_facts import SectionFacts, facts_of, facts_of_documents, read_facts
from crm_core.workspace import ModuleConfiguration, Workspace

_PLACE: Final = re.compile(r"^(\S+:\d+:\d+): ", re.MULTILINE)
_PLACES: Final = 10  # that are shown
_STEPPED: Final = timedelta(seconds=5)  # a clock this far behind its own entries has stepped back
_DAY: Final = timedelta(hours=24)

Orphaned = Callable[[str], Awaitable[list[str]]]
"""The record types of which a tenant has records, and which no plugin brings."""


class Configured(ModuleConfiguration, Protocol):
    """The configuration files, each in the version that was last loaded without an error."""

    @property
    def roster(self) -> Roster: ...  # noqa: D102 -- the class says it
    @property
    def loaded_at(self) -> datetime: ...  # noqa: D102 -- the class says it
    @property
    def roster_error(self) -> str | None: ...  # noqa: D102 -- the class says it

    def errors(self) -> tuple[str, ...]:
        """Why the newest edits are not in effect, one message a file."""


class HealthReports:
    """The sync health of the tenants of one instance."""

    def __init__(self, context: SyncContext, configured: Configured, orphaned: Orphaned) -> None:
        self._context = context
        self._orphaned = orphaned
        self._configured = configured

    async def report_anyway(self, tenant: str, key: Key | None = None) -> dict[str, Any]:
        """The report; if the store cannot be read, one without what only the store knows, and the reason."""
        try:
            return await self.report(tenant, key)
        except StorageUnavailable as error:
            return self._without_store(tenant, error.operator_detail)

    async def report(self, tenant: str, key: Key | None = None) -> dict[str, Any]:
        """The health of a tenant. ``key``: of a signed request; if it is limited to sections, only those are shown.

        Raises StorageUnavailable.
        """
        now = self._context.now()
        roster = self._configured.roster.of(tenant)
        workspace, view = await self._context.views.with_view(tenant)
        summary = await self._context.backend.summary(tenant)
        tally = await self._context.backend.tally(tenant, to_wire(now - _DAY))
        facts = facts_of(workspace.readings, self._context.registry.calls)
        orphans = map(orphan_sentence, await self._orphaned(tenant))
        status, reasons = self._judged(tenant, summary, facts, now, key, orphans)
        return {
            "status": status,
            "reasons": reasons,
            **self._configuration(tenant, roster, now, tally),
            "sections": _sections(workspace, roster, key),
            "last_success": _attempt(summary.last_success),
            "last_failure": _attempt(await self._last_failure(tenant)),
            "counts": {"24h": {name: tally.statuses.get(name, 0) for name in _COUNTED}},
            "log_head": {"seq": view.head.seq, "hash": view.head.hash},
        }

    def _without_store(self, tenant: str, reason: str) -> dict[str, Any]:
        """The same members, null if only the store knows them; ``sections`` is empty."""
        now = self._context.now()
        roster = self._configured.roster.of(tenant)
        status, reasons = self._judged_without_store(roster, reason, now)
        return {
            "status": status,
            "reasons": reasons,
            **self._configuration(tenant, roster, now, None),
            "sections": {},
            "last_success": None,
            "last_failure": None,
            "counts": {"24h": dict.fromkeys(_COUNTED)},
            "log_head": None,
        }

    async def row(self, tenant: str) -> dict[str, Any] | None:
        """The health of a tenant in a list of tenants, from the summary of its store; None if it was just removed."""
        now = self._context.now()
        roster = self._configured.roster.of(tenant)
        summary: Summary | None = None
        try:
            summary = await self._context.backend.summary(tenant)
            status, reasons = self._judged(tenant, summary, self._facts(summary), now)
        except UnknownTenant:
            return None
        except StorageUnavailable as error:
            status, reasons = self._judged_without_store(roster, error.operator_detail, now)
        return {
            "tenant": tenant,
            "status": status,
            "reasons": reasons,
            "expected_key": _expected_key(tenant, roster, now),
            "last_success": _attempt(summary.last_success if summary else None),
            "revision": summary.revision if summary else None,
        }

    def _facts(self, summary: Summary) -> SectionFacts:
        try:
            if isinstance(summary.sections, bytes):
                return read_facts(summary.sections)
            return facts_of_documents(summary.sections, self._context.registry.calls)
        except msgspec.MsgspecError:
            raise StorageUnavailable("The stored sections cannot be read.") from None

    def _judged(  # noqa: PLR0917 -- the facts in their order
        self,
        tenant: str,
        summary: Summary,
        facts: SectionFacts,
        now: datetime,
        key: Key | None = None,
        further: Iterable[str] = (),
    ) -> tuple[str, list[str]]:
        """Status and reasons, with ``further`` ones. ``key``: as in ``report``."""
        roster = self._configured.roster.of(tenant)
        problems = [*self._problems(tenant, roster, summary, now), *further]
        problems += [fault.sentence for fault in facts.faults if key is None or key.admits(fault.section)]
        problems += catalog_gaps(facts, self._configured.catalog.modules, self._configured.roles, key)
        stale = list(staleness(roster, facts.last_accepted, now))
        status, reasons = "degraded" if problems else "stale" if stale else "ok", problems + stale
        if off := self._off(roster):
            status, reasons = "disabled", off
        return status, [*reasons, *mismatches(tenant, roster, summary)]

    def _judged_without_store(self, roster: TenantRoster, reason: str, now: datetime) -> tuple[str, list[str]]:
        if off := self._off(roster):
            return "disabled", [*off, reason]
        return "degraded", [reason, *self._roster_problems(roster, now)]

    def _configuration(self, tenant: str, roster: TenantRoster, now: datetime, tally: Tally | None) -> dict[str, Any]:
        return {
            "enabled": self._context.settings.enabled and roster.enabled,
            "instance": self._context.instance,
            "tenant": tenant,
            "expected_key": _expected_key(tenant, roster, now),
            "accepted_keys": [_key(one, now, tally) for _, one in sorted(roster.keys.items(), reverse=True)],
            "schemes": sorted(self._context.registry.schemes if roster.schemes is None else roster.schemes),
            "payload_types": list(self._context.registry.payload_types),
            "skew_seconds": self._context.settings.skew_seconds,
            "server_time": to_wire(now),
            "roster": {"loaded_at": to_wire(self._configured.loaded_at), "error": self._roster_error()},
        }

    def _off(self, roster: TenantRoster) -> list[str]:
        """Why the receiver is off; empty if it is on."""
        if not self._context.settings.enabled:
            return ["The receiver is off for the whole instance: sync.enabled is false in instance.yaml."]
        if not roster.enabled:
            off = "The receiver is off for this tenant: it has no entry in keys.yaml, or one that says sync: disabled."
            return [off, *self._refused_edit()]
        return []

    def _problems(self, tenant: str, roster: TenantRoster, summary: Summary, now: datetime) -> Iterable[str]:
        if summary.state.mode != "ok":  # first: nothing can be saved, and people lose work
            yield summary.state.reason
        yield from self._roster_problems(roster, now)
        recent = summary.recent
        if len(recent) == RECENT and all(entry.status in ("rejected", "failed") for entry in recent):
            codes = ", ".join(dict.fromkeys(entry.error_code or "unknown" for entry in recent))
            yield f"The last {RECENT} verified pushes all failed ({codes}). See the sync log for the reasons."
        if recent and from_wire(recent[0].received_at) > now + _STEPPED:
            yield (
                "This server's clock has stepped back: it is behind its own log. Check its time service. If the clock "
                "was ahead before and is right now, pushes with the keys used meanwhile are refused as possible "
                f"replays: give the platform a new key with crm keys rotate {tenant}."
            )

    def _roster_problems(self, roster: TenantRoster, now: datetime) -> Iterable[str]:
        if not roster.active(now):
            yield "No key is active now, so every push is refused. Add a key to keys.yaml, or fix the dates of one."
        yield from self._refused_edit()

    def _refused_edit(self) -> Iterable[str]:
        if error := self._roster_error():
            yield _not_loaded("keys.yaml", error)
        for name in ("modules.yaml", "roles.yaml"):
            if lines := [line for line in self._configured.errors() if line.startswith(f"{name}:")]:
                yield _not_loaded(name, _places("\n".join(lines), name))

    def _roster_error(self) -> str | None:
        error = self._configured.roster_error
        return None if error is None else _places(error, "keys.yaml")

    async def _last_failure(self, tenant: str) -> LogEntry | None:
        """The newest verified attempt that was rejected or failed."""
        found: list[LogEntry] = []
        for status in ("rejected", "failed"):
            query = EntryQuery(equals=(("status", status),), verified=True, limit=1)
            found += await self._context.backend.entries(tenant, query)
        return max(found, key=lambda entry: entry.seq or 0, default=None)


_COUNTED: Final = ("applied", "unchanged", "rejected", "failed", "unverified")


def _not_loaded(name: str, problem: str) -> str:
    return f"The newest edit of {name} was not loaded; the version before it is in effect: {problem}"


def _places(error: str, name: str) -> str:
    """The places of the errors in a file. Their words are for operators: they may be of another tenant."""
    places = ", ".join(_PLACE.findall(error)[:_PLACES])
    return f"{places or name}: the operator's log and crm config check say why"


def _expected_key(tenant: str, roster: TenantRoster, now: datetime) -> str | None:
    active = roster.active(now)
    return f"{tenant}:{active[0].version}" if active else None


def _key(key: Key, now: datetime, tally: Tally | None) -> dict[str, Any]:
    """A key's state and uses; the uses are null without a tally."""
    use = tally.keys.get(key.version) if tally else None
    unused = 0 if tally else None
    return {
        "key_version": key.version,
        "state": key.state(now),
        "not_before": to_wire(key.not_before) if key.not_before else None,
        "not_after": to_wire(key.not_after) if key.not_after else None,
        "fingerprint": key.fingerprint,
        "kind": key.kind,
        "schemes": sorted(key.schemes) if key.schemes is not None else None,
        "types": sorted(key.types) if key.types is not None else None,
        "last_used_at": use.last_used_at if use else None,
        "uses": use.uses if use else unused,
    }


def _sections(workspace: Workspace, roster: TenantRoster, key: Key | None) -> dict[str, Any]:
    revoked = roster.revoked
    return {
        name: {
            "version": section.version,
            "min_version": section.floor(revoked) + 1,
            "revision": section.revision,
            "applied_at": section.applied_at,
            "request_id": section.request_id,
            "sha256": section.sha256,
        }
        for name, section in sorted(workspace.sections.items())
        if key is None or key.admits(name)
    }


def _attempt(entry: LogEntry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {
        "at": entry.received_at,
        "request_id": entry.request_id,
        "type": entry.payload_type,
        "version": entry.payload_version,
        "key_version": entry.key_version,
        "error_code": entry.error_code,
        "error_message": entry.error_message,
    }

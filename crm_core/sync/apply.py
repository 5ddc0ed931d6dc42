"""Applying a push: its sections, history, log entry and changes in one unit, all of it durable or none."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Literal

import msgspec

from crm_core.errors import Finding, PluginFailed
from crm_core.model.change_log import MODULES_CHANGED, SYNC_APPLIED, ChangeEntry
from crm_core.model.diff import Change
from crm_core.model.log import Head, LogEntry
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.storage import Claim, Delete, Unit
from crm_core.sync.outcome import SectionOutcome
from crm_core.sync.revisions import HISTORY, Applied, Fingerprints, history_id
from crm_core.sync.sections import Intent, changed_section, confirmed_section
from crm_core.sync.signature_checks import PAYLOAD_CLAIM
from crm_core.workspace import Section, Workspace
from crm_core.workspace.sealing import Sealer
from crm_core.workspace.snapshot import derive_workspace

ReceiptStatus = Literal["applied", "unchanged", "previewed"]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a push or a restore (docs/protocol.md)."""

    status: ReceiptStatus
    request_id: str
    tenant: str
    type: str
    version: int
    applied_at: str | None
    revision: int | None
    changes: list[Change]
    modules: dict[str, str]
    warnings: list[dict[str, str]]
    log_head: Head


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of applying: the workspace before and after, the new sections, and the changes of each.

    ``changed``: the sections that get a new revision; the other ones only take the version.
    """

    outcomes: list[SectionOutcome]
    intent: Intent
    before: Workspace
    after: Workspace
    sections: Mapping[str, Section]
    by_section: Mapping[str, list[Change]]
    changed: frozenset[str]

    @property
    def status(self) -> Literal["applied", "unchanged"]:
        """The status once it is committed."""
        return "applied" if self.changed else "unchanged"

    @property
    def changes(self) -> list[Change]:
        """Every change of every section, in the order of the push."""
        return [change for changes in self.by_section.values() for change in changes]

    def clashes(self) -> list[Finding]:
        """A warning for each value about which a section of the push and another one disagree."""
        pushed = {outcome.name: outcome.prefix for outcome in self.outcomes}
        return [
            Finding(
                pushed.get(clash.winner, pushed.get(clash.loser, "")), "entitlement_clash", clash.sentence, warning=True
            )
            for clash in self.after.combined.clashes
            if clash.winner in pushed or clash.loser in pushed
        ]

    def receipt(self, status: ReceiptStatus, warnings: Iterable[Finding], head: Head) -> Receipt:
        """The response; only an applied one has a time, and a preview has no revision."""
        return Receipt(
            status=status,
            request_id=self.intent.request_id,
            tenant=self.before.tenant,
            type=self.intent.payload_type,
            version=self.intent.version,
            applied_at=self.intent.applied_at if status == "applied" else None,
            revision=None if status == "previewed" else self.after.revision,
            changes=self.changes,
            modules=self.after.module_states(),
            warnings=[finding.to_wire() for finding in warnings],
            log_head=head,
        )


def plan(
    outcomes: list[SectionOutcome],
    before: Workspace,
    intent: Intent,
    *,
    sealer: Sealer,
    calls: PayloadCalls,
    keep: int,
    revoked: Container[int],
) -> Plan:
    """Plan to apply the outcomes. ``keep``: revisions of a section to store; ``revoked``: key versions."""
    changes = {outcome.name: outcome.changes() for outcome in outcomes}
    changed = frozenset(
        outcome.name
        for outcome in outcomes
        if outcome.name not in before.readable or changes[outcome.name] or intent.restores
    )
    fingerprint = "" if changed else intent.fingerprint  # the history of a section that changes remembers it
    sections = {
        outcome.name: confirmed_section(
            before.readings[outcome.name].stored, before.revision + 1, intent, fingerprint=fingerprint, revoked=revoked
        )
        if outcome.name not in changed
        else changed_section(outcome, before.revision + 1, intent, sealer, keep=keep, revoked=revoked)
        for outcome in outcomes
    }
    after = derive_workspace(
        before.tenant,
        before.revision + 1,
        {name: reading.stored for name, reading in before.readings.items()} | sections,
        calls,
        generation=before.generation,
        catalog=before.catalog,
        roles=before.roles,
        before=before,
        epoch=before.epoch,
        shared={outcome.name: outcome.shared for outcome in outcomes},
    )
    for name in sections:
        if fault := after.readings[name].fault:
            # A type that fails on a section which it accepted must fail before the section is in effect.
            raise PluginFailed(fault.plugin, fault.hook, fault.cause)
    return Plan(
        outcomes=outcomes,
        intent=intent,
        before=before,
        after=after,
        sections=sections,
        by_section=changes,
        changed=changed,
    )


async def unit_of(
    fingerprints: Fingerprints,
    planned: Plan,
    *,
    claims: tuple[Claim, ...] = (),
    freed: Iterable[str] = (),
    entry: LogEntry,
    now: int,
) -> Unit:
    """All changes of a plan, valid only at the revision of the workspace that it was made for.

    ``freed``: fingerprints of payloads that are forgotten before the claims are made.
    """
    before, sections = planned.before, planned.sections
    puts, dropped = [section.put() for section in sections.values()], []
    for name, section in sections.items():
        if name in planned.changed:
            puts.append(_applied(section, planned).put())
            if name in before.sections:
                older = takewhile(section.history[0].__gt__, before.sections[name].history)
                dropped += [(name, revision) for revision in older]
    return Unit(
        now=now,
        expect=(before.unchanged,),
        claims=claims,
        puts=tuple(puts),
        deletes=tuple([Delete(HISTORY, history_id(name, revision)) for name, revision in dropped]),
        releases=(
            *await _released_claims(fingerprints, before, planned.after, dropped),
            *[(PAYLOAD_CLAIM, fingerprint) for fingerprint in freed],
        ),
        entries=(entry,),
        changes=tuple(_changes(before, planned.after, planned.intent)) if planned.changed else (),
        revises=True,
    )


def removed_modules(before: Workspace, after: Workspace) -> list[str]:
    """The modules that were available and no longer are."""
    if before.modules is after.modules:
        return []
    states = after.module_states()
    return [name for name, state in before.module_states().items() if state == "available" != states.get(name)]


def _applied(section: Section, planned: Plan) -> Applied:
    return Applied(
        section=section.name,
        revision=section.revision,
        version=planned.intent.version,
        applied_at=section.applied_at,
        request_id=section.request_id,
        actor=section.actor,
        payload_type=section.payload_type,
        key_version=section.key_version,
        changes=tuple(planned.by_section[section.name]),
        data=section.data,
        fingerprint=planned.intent.fingerprint,
        schema=section.schema,
    )


async def _released_claims(
    fingerprints: Fingerprints, before: Workspace, after: Workspace, dropped: list[tuple[str, int]]
) -> tuple[tuple[str, str], ...]:
    """The payload claims to release: those that no revision and no confirmation of any section has any longer."""
    confirmed = _confirming(before)
    if not (confirmed or dropped):
        return ()
    stored = {revision for section in after.sections.values() for revision in section.history}
    confirming = _confirming(after)
    released = [(PAYLOAD_CLAIM, fingerprint) for fingerprint in confirmed if fingerprint not in confirming]
    for name, revision in dropped:
        if revision not in stored:
            fingerprint = await fingerprints.of(before, name, revision)
            if fingerprint:
                released.append((PAYLOAD_CLAIM, fingerprint))
    return tuple(dict.fromkeys(released))


def _confirming(workspace: Workspace) -> list[str]:
    """The fingerprints of the pushes that last left a section as it is."""
    return [
        section.confirmed.fingerprint
        for section in workspace.sections.values()
        if section.confirmed is not None and section.confirmed.fingerprint
    ]


def _changes(before: Workspace, after: Workspace, intent: Intent) -> Iterator[ChangeEntry]:
    """The entries of the change log that an applied push makes."""
    applied = ChangeEntry(
        event=SYNC_APPLIED,
        at=intent.applied_at,
        actor=intent.actor,
        request_id=intent.request_id,
        data={
            "type": intent.payload_type,
            "version": intent.version,
            "revision": after.revision,
            "request_id": intent.request_id,
        },
    )
    yield applied
    if before.modules is not after.modules and before.module_states() != after.module_states():
        yield msgspec.structs.replace(applied, event=MODULES_CHANGED, data={"modules": after.module_states()})

"""A section after a push or a restore: changed, or confirmed as it is."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import msgspec

from crm_core.sync.outcome import SectionOutcome
from crm_core.workspace import Section
from crm_core.workspace.sealing import Sealer
from crm_core.workspace.section import PushConfirmation

SEALED_FOR: Final = "section secret"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a push or a restore that sections and history store unchanged."""

    payload_type: str
    version: int
    request_id: str
    applied_at: str
    actor: str
    key_version: int | None
    fingerprint: str = ""

    @property
    def restores(self) -> bool:
        """Whether this is a restore, which no key signed. It always makes a new revision."""
        return self.key_version is None


def changed_section(
    outcome: SectionOutcome, revision: int, intent: Intent, sealer: Sealer, *, keep: int, revoked: Container[int]
) -> Section:
    """The section of an outcome at a new revision."""
    before = outcome.before
    history = (*(before.history if before else ()), revision)
    new_secrets = {pointer: sealer.seal(SEALED_FOR, text) for pointer, text in outcome.new_secrets.items()}
    return Section(
        name=outcome.name,
        data=outcome.data,
        sealed={**outcome.old_secrets, **new_secrets},
        version=before.version if before and intent.restores else intent.version,
        versions=_versions(before, intent, revoked),
        revision=revision,
        applied_at=intent.applied_at,
        request_id=intent.request_id,
        payload_type=intent.payload_type,
        key_version=intent.key_version,
        actor=intent.actor,
        history=history[-keep:],
        schema=outcome.schema,
        confirmed=before.confirmed if before and intent.restores else None,
    )


def confirmed_section(
    before: Section, revision: int, intent: Intent, *, fingerprint: str, revoked: Container[int]
) -> Section:
    """The section that a push leaves as it is: it takes the version, and keeps revision, time and history."""
    confirmed = PushConfirmation(
        at=intent.applied_at,
        payload_type=intent.payload_type,
        version=intent.version,
        request_id=intent.request_id,
        revision=revision,
        key_version=intent.key_version,
        fingerprint=fingerprint,
    )
    versions = _versions(before, intent, revoked)
    return msgspec.structs.replace(before, version=intent.version, versions=versions, confirmed=confirmed)


def _versions(before: Section | None, intent: Intent, revoked: Container[int]) -> dict[int, int]:
    """The highest version by key, with this push's. Versions of revoked keys no longer count."""
    versions = {key: version for key, version in (before.versions if before else {}).items() if key not in revoked}
    if intent.key_version is not None:
        versions[intent.key_version] = max(versions.get(intent.key_version, 0), intent.version)
    return versions

"""Recording attempts: verified ones in the chain, together with their nonce; unverified ones in a bounded ring.

An unverified attempt counts against the limit of its source. A verified one uses its nonce in the same unit as its
entry. After a fault of the server nothing is recorded as used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from crm_core.errors import CrmError, RateLimited, ServerError, StorageFull, StorageUnavailable
from crm_core.model.keys import TenantRoster
from crm_core.model.log import ACCEPTED, Head, LogEntry, Status
from crm_core.plugin.storage import Claim, Committed, OutcomeUnknown, Unit
from crm_core.server_log import ServerLog
from crm_core.sync import content_checks, nonces, signature_checks
from crm_core.sync.context import SyncContext
from crm_core.sync.limits import Over, UnverifiedLimit
from crm_core.sync.logged_findings import logged_findings
from crm_core.sync.push_request import Attempt
from crm_core.sync.signature_checks import PAYLOAD_CLAIM, Original

_log = ServerLog("crm.sync")


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a repeat of an accepted push, if the roster accepts repeats: nothing was changed."""

    status: str = "already_applied"
    request_id: str
    tenant: str
    type: str
    original: dict[str, Any]
    log_head: Head


class AttemptLog:
    """Records attempts. ``observe`` receives every attempt's entry, and its seconds to the decision, for metrics."""

    def __init__(
        self, context: SyncContext, limit: UnverifiedLimit, observe: Callable[[LogEntry, float], None]
    ) -> None:
        self._context = context
        self._limit = limit
        self._observe = observe

    def nonce_claim(self, attempt: Attempt, status: Status) -> Claim:
        """The nonce as a claim: stored while its timestamp can be accepted, refused by that timestamp afterwards."""
        push, (key, presented) = attempt.push, attempt.verified_by()
        evidence = Original(
            request_id=push.request_id,
            received_at=push.arrived_at,
            status=status,
            version=attempt.envelope.version if attempt.envelope else None,
            body=attempt.fingerprints[0],
            payload_type=push.payload_type,
        )
        return Claim(
            nonces.nonce_claim(key),
            presented.nonce,
            msgspec.json.encode(evidence),
            expires=presented.timestamp + self._context.settings.skew_seconds,
            stamp=presented.timestamp,
        )

    async def write(self, attempt: Attempt, unit: Unit) -> Committed | None:
        """Commit the unit of a verified attempt; None if the workspace has changed meanwhile.

        Raises ReplayedNonce, DuplicatePayload, TimestampOutOfWindow, StorageUnavailable, StorageFull.
        """
        tenant, (key, presented) = attempt.push.tenant, attempt.verified_by()
        try:
            outcome = await self._context.backend.commit(tenant, unit)
        except OutcomeUnknown:
            outcome = await self._find_commit(attempt)
        if isinstance(outcome, Committed):
            for entry in unit.entries:
                self._observe(entry, attempt.seconds)
            return outcome
        if outcome.what == "forgotten":
            raise signature_checks.nonces_forgotten(presented, key, tenant, self._context.settings, self._context.now())
        if outcome.what == "claim" and outcome.claim is not None:
            original = Original.read(outcome.evidence)
            if outcome.claim.kind == PAYLOAD_CLAIM:
                raise content_checks.duplicate(original)
            raise signature_checks.replayed(original)
        return None

    async def refuse(self, attempt: Attempt, error: CrmError) -> None:
        """Log the refusal of a verified attempt, durably and together with its nonce.

        Raises ReplayedNonce, TimestampOutOfWindow, StorageUnavailable, StorageFull.
        """
        now = self._context.now()
        findings = logged_findings(error.errors, attempt.parts, self._context.registry.sections)
        entry = attempt.entry(self._context.ids.new(), "rejected", now, error=error, errors=findings)
        unit = Unit(now=int(now.timestamp()), claims=(self.nonce_claim(attempt, "rejected"),), entries=(entry,))
        await self.write(attempt, unit)

    async def fail(self, attempt: Attempt, error: ServerError) -> None:
        """Log a fault of the server, in the chain if possible, else in the ring; the nonce stays unused."""
        now = self._context.now()
        entry = attempt.entry(self._context.ids.new(), "failed", now, error=error)
        self._observe(entry, attempt.seconds)
        if not isinstance(error, StorageUnavailable | StorageFull):
            try:
                unit = Unit(now=int(now.timestamp()), entries=(entry,))
                await self._context.backend.commit(attempt.push.tenant, unit)
            except Exception as fault:  # noqa: BLE001 -- the push has failed already; the entry goes into the ring below
                _log.error("failure_not_chained", error=type(fault).__name__, request_id=entry.request_id)
            else:
                return
        self._context.backend.note(attempt.push.tenant, entry)

    def unverified(self, attempt: Attempt, error: CrmError) -> CrmError:
        """Note an attempt that was not verified; returns the error to answer with."""
        if isinstance(error, ServerError):
            self._note(attempt, attempt.entry(self._context.ids.new(), "failed", self._context.now(), error=error))
            return error
        over = self._limit.spend(attempt.push.source, attempt.push.tenant)
        if over is None:
            self._note(attempt, attempt.entry(self._context.ids.new(), "rejected", self._context.now(), error=error))
            return error
        limited = _limited(over)
        message = f"{limited.detail} The last one failed with {error.code}."
        entry = attempt.entry(over.entry_id, "rejected", self._context.now(), error=limited, message=message)
        self._note(attempt, msgspec.structs.replace(entry, count=over.count))
        return limited

    def misdirected(self, error: CrmError, *, source: str | None, **known: str | None) -> CrmError:
        """Write a push for no tenant here to the server's log; returns the error to answer with.

        It counts against the limit of its source; past it, there is one line a minute.
        """
        over = self._limit.spend(source, "")
        if over is None or over.count == 1:
            code = error.code if over is None else RateLimited.code
            _log.warning("push_astray", code=code, source=source, **known)
        return error if over is None else _limited(over)

    async def accepted_repeat(self, attempt: Attempt, roster: TenantRoster) -> Repeat | None:
        """The response to a repeat of an accepted push, for tenants whose roster accepts repeats."""
        if roster.repeats != "accept":
            return None
        push, original = attempt.push, await nonces.first_use(self._context.backend, attempt)
        if original is None or original.status not in ACCEPTED:
            return None
        if not original.is_repeated_by(attempt.fingerprints, push.payload_type):
            return None
        status: Status = "applied" if original.status == "applied" else "unchanged"
        message = f"A repeat of request {original.request_id}, which was accepted; nothing was changed."
        self._note(attempt, attempt.entry(self._context.ids.new(), status, self._context.now(), message=message))
        view = await self._context.backend.view(push.tenant, None)
        return Repeat(
            request_id=push.request_id,
            tenant=push.tenant,
            type=push.payload_type,
            original=original.to_wire(),
            log_head=view.head,
        )

    async def _find_commit(self, attempt: Attempt) -> Committed:
        """Whether a commit whose answer was lost was made, by its nonce. Raises StorageUnavailable."""
        original = await nonces.first_use(self._context.backend, attempt)
        if original is None or original.request_id != attempt.push.request_id:
            raise StorageUnavailable("The store did not answer. Send the same request again.", retry_after=1)
        view = await self._context.backend.view(attempt.push.tenant, None)
        return Committed(view.seq, view.revision, view.head)

    def _note(self, attempt: Attempt, entry: LogEntry) -> None:
        self._observe(entry, attempt.seconds)
        self._context.backend.note(entry.tenant, entry)


def _limited(over: Over) -> RateLimited:
    message = "Too many attempts from this address failed verification. Wait, then send the request again."
    return RateLimited(message, retry_after=over.retry_after)

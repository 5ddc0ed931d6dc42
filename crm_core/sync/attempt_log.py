"""What becomes of an attempt: durable with its nonce and its link of the chain, or noted beside it.

An unverified attempt is noted in a ring and counts against the limit of its source. A verified one uses its nonce in
the same unit as its entry. When the fault is ours nothing is recorded as used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from crm_core.errors import CrmError, RateLimited, ServerError, StorageFull, StorageUnavailable
from crm_core.model.ids import Ids
from crm_core.model.keys import TenantRoster
from crm_core.model.log import LogEntry, Status
from crm_core.model.times import to_wire
from crm_core.plugin.storage import Claim, Committed, OutcomeUnknown, StorageBackend, Unit
from crm_core.server_log import ServerLog
from crm_core.settings import SyncSettings
from crm_core.sync import content_checks, signature_checks
from crm_core.sync.limits import Over, UnverifiedLimit
from crm_core.sync.push_request import Attempt
from crm_core.sync.signature_checks import PAYLOAD_CLAIM, Original

_log = ServerLog("crm.sync")


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a repeat of an applied push where repeats are accepted: nothing was changed."""

    status: str = "already_applied"
    request_id: str
    tenant: str
    type: str
    original: dict[str, Any]
    log_head: dict[str, Any]


class AttemptLog:
    """Writes attempts down. ``observe`` is told every attempt's entry, for metrics."""

    def __init__(
        self,
        *,
        backend: StorageBackend,
        settings: SyncSettings,
        limit: UnverifiedLimit,
        now: Callable[[], datetime],
        ids: Ids,
        observe: Callable[[LogEntry], None],
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._limit = limit
        self._now = now
        self._ids = ids
        self._observe = observe

    def nonce(self, attempt: Attempt, status: Status) -> Claim:
        """The nonce as a claim: held until no clock could accept its timestamp, and refused by its stamp after that."""
        push, key, presented = attempt.push, attempt.key, attempt.presented
        assert key is not None
        assert presented is not None
        evidence = Original(
            request_id=push.request_id,
            received_at=to_wire(push.received_at),
            status=status,
            version=attempt.envelope.version if attempt.envelope else None,
            body=attempt.fingerprints[0],
        )
        return Claim(
            signature_checks.nonce_claim(key),
            presented.nonce,
            msgspec.json.encode(evidence),
            expires=presented.timestamp + self._settings.skew_seconds,
            stamp=presented.timestamp,
        )

    async def write(self, attempt: Attempt, unit: Unit) -> Committed | None:
        """Commit a unit of a verified attempt: None where the workspace moved on.

        Raises the refusal of a claim that is taken, StorageUnavailable, StorageFull.
        """
        tenant, presented = attempt.push.tenant, attempt.presented
        assert presented is not None
        try:
            outcome = await self._backend.commit(tenant, unit)
        except OutcomeUnknown:
            outcome = await self._looked_up(attempt)
        if isinstance(outcome, Committed):
            for entry in unit.entries:
                self._observe(entry)
            return outcome
        if outcome.what == "forgotten":
            raise signature_checks.out_of_window(presented, self._settings, self._now())
        if outcome.what == "claim" and outcome.claim is not None:
            if outcome.claim.kind == PAYLOAD_CLAIM:
                raise content_checks.duplicate(outcome.evidence)
            raise signature_checks.replayed(outcome.evidence)
        return None

    async def refuse(self, attempt: Attempt, error: CrmError) -> None:
        """Log a verified refusal, durably, together with its nonce.

        Raises the refusal of a nonce that is taken, StorageUnavailable, StorageFull.
        """
        now = self._now()
        entry = attempt.entry(self._ids.new(), "rejected", now, error=error)
        unit = Unit(now=int(now.timestamp()), claims=(self.nonce(attempt, "rejected"),), entries=(entry,))
        await self.write(attempt, unit)

    async def fail(self, attempt: Attempt, error: ServerError) -> None:
        """Log a failure of ours: in the chain if that can be written, else beside it; nothing is used up."""
        now = self._now()
        entry = attempt.entry(self._ids.new(), "failed", now, error=error)
        self._observe(entry)
        if not isinstance(error, StorageUnavailable | StorageFull):
            try:
                await self._backend.commit(attempt.push.tenant, Unit(now=int(now.timestamp()), entries=(entry,)))
            except Exception as fault:  # noqa: BLE001 -- the push has failed already; whatever this is, it is noted below
                _log.error("failure_not_chained", error=type(fault).__name__, request_id=entry.request_id)
            else:
                return
        self._backend.note(attempt.push.tenant, entry)

    def unverified(self, attempt: Attempt, error: CrmError) -> CrmError:
        """Note an attempt that was not verified; the error to answer with."""
        if isinstance(error, ServerError):
            self._note(attempt.entry(self._ids.new(), "failed", self._now(), error=error))
            return error
        over = self._limit.spend(attempt.push.source, attempt.push.tenant)
        if over is None:
            self._note(attempt.entry(self._ids.new(), "rejected", self._now(), error=error))
            return error
        limited = _limited(over)
        told_as = f"{limited.detail} The last of them failed with {error.code}."
        entry = attempt.entry(over.entry_id, "rejected", self._now(), error=limited, told_as=told_as)
        self._note(msgspec.structs.replace(entry, count=over.count))
        return limited

    def astray(self, error: CrmError, *, source: str | None, **known: str | None) -> CrmError:
        """Tell the instance's own log of a push that is for no tenant here; the error to answer with.

        It counts against the limit of its source; past it one line stands for all that follow within the minute.
        """
        over = self._limit.spend(source, "")
        if over is None or over.count == 1:
            code = error.code if over is None else RateLimited.code
            _log.warning("push_astray", code=code, source=source, **known)
        return error if over is None else _limited(over)

    async def accepted_repeat(self, attempt: Attempt, roster: TenantRoster) -> Repeat | None:
        """The answer to a repeat of an applied push, for tenants whose roster accepts repeats."""
        if roster.repeats != "accept" or attempt.key is None or attempt.presented is None:
            return None
        push = attempt.push
        evidence = await self._backend.claim(
            push.tenant, signature_checks.nonce_claim(attempt.key), attempt.presented.nonce
        )
        original = None if evidence is None else msgspec.json.decode(evidence, type=Original)
        same = original is not None and original.body in attempt.fingerprints
        if original is None or not same or original.status != "applied":
            return None
        told_as = f"A repeat of request {original.request_id}, which was applied; nothing was changed."
        self._note(attempt.entry(self._ids.new(), "applied", self._now(), told_as=told_as))
        view = await self._backend.view(push.tenant, None)
        return Repeat(
            request_id=push.request_id,
            tenant=push.tenant,
            type=push.payload_type,
            original=original.shown(),
            log_head={"seq": view.head.seq, "hash": view.head.hash},
        )

    async def _looked_up(self, attempt: Attempt) -> Committed:
        """What became of a commit whose answer was lost: its nonce tells. Raises StorageUnavailable."""
        assert attempt.key is not None
        assert attempt.presented is not None
        tenant = attempt.push.tenant
        evidence = await self._backend.claim(tenant, signature_checks.nonce_claim(attempt.key), attempt.presented.nonce)
        original = None if evidence is None else msgspec.json.decode(evidence, type=Original)
        if original is None or original.request_id != attempt.push.request_id:
            raise StorageUnavailable("The store did not answer; send the very same request again.", retry_after=1)
        view = await self._backend.view(tenant, None)
        return Committed(view.seq, view.revision, view.head)

    def _note(self, entry: LogEntry) -> None:
        self._observe(entry)
        self._backend.note(entry.tenant, entry)


def _limited(over: Over) -> RateLimited:
    told_as = "Too many attempts from this address failed verification; wait, then send it again."
    return RateLimited(told_as, retry_after=over.retry_after)

"""Receiving a push: the checks in the order of ``checks.Check``, with the check's name next to each call.

An attempt is verified once it has passed ``Check.NONCE``. Until then a refusal counts against the limit of its source;
from then on the nonce is used, except after a fault of the server: then the same request may be sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from crm_core.errors import (
    CrmError,
    Finding,
    InternalError,
    ReplayedNonce,
    ServerError,
    StorageUnavailable,
    TimestampOutOfWindow,
    UnknownTenant,
)
from crm_core.model.envelope import Envelope
from crm_core.model.keys import Key, TenantRoster
from crm_core.model.times import to_wire
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.storage import Claim, Unit
from crm_core.sync import content_checks, nonces, signature_checks
from crm_core.sync.apply import Plan, Receipt, ReceiptStatus, removed_modules, unit_of
from crm_core.sync.attempt_log import AttemptLog, Repeat
from crm_core.sync.context import SyncContext
from crm_core.sync.long_bodies import checked
from crm_core.sync.outcome import PartShape, SectionOutcome
from crm_core.sync.push_request import Attempt, PushRequest
from crm_core.sync.sections import Intent
from crm_core.sync.signature_checks import PAYLOAD_CLAIM
from crm_core.workspace import Workspace

_ROUNDS: Final = 100  # how often a push is checked again because another one was applied first


class _Known(NamedTuple):
    """The workspace, and the evidence of the payload's claims.

    ``assumed``: nothing was read, since the unit that applies a push shows what is so. No push is refused for it.
    """

    workspace: Workspace
    accepted: list[bytes | None]
    assumed: bool = False


CountRecords = Callable[[str, str], Awaitable[int]]
"""How many records of a type a tenant has; 0 for unknown types."""


class Receiver:
    """Receives the pushes of one instance."""

    def __init__(self, context: SyncContext, *, attempt_log: AttemptLog, count_records: CountRecords) -> None:
        self._context = context
        self._attempt_log = attempt_log
        self._count_records = count_records
        self._health_nonces = nonces.HealthNonces()

    async def receive(self, push: PushRequest) -> Receipt | Repeat:
        """Check, apply and log a push. Raises the refusal of the check that failed."""
        attempt = Attempt(push, self._context.instance, push.received_at)
        types = self._context.registry.payload_types
        try:
            payload_type = signature_checks.known_type(push.payload_type, types)  # ADDRESS
            attempt.unread(payload_type)
            signature_checks.receiver_enabled(self._context.settings, self._context.roster(push.tenant))  # RECEIVER
            await signature_checks.acceptable_body(attempt)  # BODY
            roster = self._context.roster(push.tenant)  # now: a key may have been revoked while the body came
            signature_checks.receiver_enabled(self._context.settings, roster)
            attempt.started_at = self._context.now()
            attempt.fingerprints = tuple(self._context.sealer.fingerprints(attempt.request().sha256))
            key = self._signed_by(attempt, roster)  # HEADERS to TIMESTAMP
            signature_checks.source_allowed(key, push.source)  # KEY_LIMITS
            signature_checks.type_allowed(key, payload_type)
            known = self._assumed(attempt) or await self._stored(attempt)  # NONCE
        except ReplayedNonce as error:
            return await self._repeated(attempt, roster, error)
        except CrmError as error:
            raise self._attempt_log.unverified(attempt, error) from error.__cause__
        except Exception:  # every attempt is logged; web/problems logs the cause
            self._attempt_log.unverified(attempt, InternalError())
            raise
        try:
            return await self._verified(attempt, payload_type, key, roster, known)  # ENVELOPE to APPLY
        except ReplayedNonce as error:  # it was assumed to be new, or its twin was committed first
            attempt.unread(payload_type)
            return await self._repeated(attempt, roster, error)
        except (TimestampOutOfWindow, UnknownTenant) as error:  # whether its nonce is new is not known
            attempt.unread(payload_type)
            raise self._attempt_log.unverified(attempt, error) from None
        except ServerError as error:
            await self._attempt_log.fail(attempt, error)
            raise
        except CrmError:  # logged with its nonce
            raise
        except Exception:  # every attempt is logged; web/problems logs the cause
            await self._attempt_log.fail(attempt, InternalError())
            raise

    async def verify_health(self, push: PushRequest) -> Attempt:
        """Verify a signed health request, which has no body and no type; the receiver may be off."""
        attempt = Attempt(push, self._context.instance, push.received_at)
        try:
            key = self._signed_by(attempt, self._context.roster(push.tenant))
            signature_checks.source_allowed(key, push.source)
            self._health_nonces.use(attempt)
        except CrmError as error:
            raise self._attempt_log.unverified(attempt, error) from error.__cause__
        return attempt

    def unanswered_health(self, attempt: Attempt) -> None:
        """Give back the nonce of a verified health request that a fault of the server left unanswered."""
        self._health_nonces.give_back(attempt)

    def _signed_by(self, attempt: Attempt, roster: TenantRoster) -> Key:
        """The key that signed the request."""
        now = attempt.started_at
        scheme, presented = signature_checks.presented_signature(attempt, self._context.registry, roster)  # HEADERS
        keys = signature_checks.active_keys(scheme, presented, roster, now)  # KEY
        key = signature_checks.matching_key(attempt, scheme, presented, keys, self._context.registry)  # SIGNATURE
        signature_checks.timely(presented, self._context.settings, now)  # TIMESTAMP
        attempt.other_keys = nonces.other_keys(attempt, roster, self._context.settings, now)
        return key

    async def _repeated(self, attempt: Attempt, roster: TenantRoster, error: ReplayedNonce) -> Repeat:
        """Answer a repeat if the roster accepts it. Raises its refusal otherwise, which says nothing of the body."""
        repeat = await self._attempt_log.accepted_repeat(attempt, roster)
        if repeat is None:
            raise self._attempt_log.unverified(attempt, error) from None
        return repeat

    def _assumed(self, attempt: Attempt) -> _Known | None:
        """The workspace as it was seen last, and no claim; None if that would not do."""
        workspace = self._context.views.assumed(attempt.push.tenant)
        # A unit has only the claims of the present secret and of the key that signed.
        if workspace is None or len(attempt.fingerprints) > 1 or attempt.other_keys:
            return None
        return _Known(workspace, [], assumed=True)

    async def _stored(self, attempt: Attempt) -> _Known:
        """The workspace and the claims of a push, in one call. Raises ReplayedNonce."""
        used = nonces.nonce_places(attempt)
        claims = [*used, *((PAYLOAD_CLAIM, fingerprint) for fingerprint in attempt.fingerprints)]
        workspace, evidence = await self._context.views.with_claims(attempt.push.tenant, claims)
        nonces.unused_nonce(attempt, evidence[: len(used)])
        return _Known(workspace, evidence[len(used) :])

    async def _verified(
        self, attempt: Attempt, payload_type: PayloadType, key: Key, roster: TenantRoster, known: _Known
    ) -> Receipt:
        """Check and apply a verified push. A refusal is durable and its nonce used before it is raised."""
        try:
            envelope, parts = await self._contents(attempt, payload_type, key, known)  # ENVELOPE
            if known.assumed:
                receipt = await self._on_assumption(attempt, envelope, parts, roster, known)
                if receipt is not None:
                    return receipt
                known = await self._stored(attempt)
            return await self._decide(attempt, envelope, parts, roster, known)  # PAYLOAD to APPLY
        except (ServerError, ReplayedNonce, TimestampOutOfWindow, UnknownTenant):
            raise
        except CrmError as error:
            await self._attempt_log.refuse(attempt, error)
            raise

    async def _contents(
        self, attempt: Attempt, payload_type: PayloadType, key: Key, known: _Known
    ) -> tuple[Envelope, tuple[PartShape, ...]]:
        """The envelope and the parts of a push that the key may send. A used nonce is refused before them."""
        attempt.hash_shown = False
        try:
            envelope, parts = await checked(attempt.body, lambda: self._read(attempt, payload_type))
            content_checks.sections_allowed(key, parts, self._context.registry.sections)
        except CrmError:
            if known.assumed:
                await self._stored(attempt)
            raise
        return envelope, parts

    def _read(self, attempt: Attempt, payload_type: PayloadType) -> tuple[Envelope, tuple[PartShape, ...]]:
        """The envelope and the parts of a push."""
        registry = self._context.registry
        envelope = content_checks.readable_push(attempt, payload_type)
        attempt.parts = parts = content_checks.parts_of(envelope, payload_type, registry)
        attempt.hash_shown = not content_checks.has_secrets(parts, registry.sections)
        return envelope, parts

    async def _on_assumption(
        self, attempt: Attempt, envelope: Envelope, parts: tuple[PartShape, ...], roster: TenantRoster, known: _Known
    ) -> Receipt | None:
        """Apply what passes every check and finds the store as assumed; None for all else, of which nothing is stored.

        Raises StorageUnavailable: whether the push was applied may not be known then.
        """
        if envelope.mode != "apply":  # no unit shows whether a preview is of this workspace
            return None
        try:
            return await self._settle(attempt, envelope, parts, roster, known)
        except StorageUnavailable:
            raise
        except CrmError:
            return None

    async def _decide(
        self, attempt: Attempt, envelope: Envelope, parts: tuple[PartShape, ...], roster: TenantRoster, known: _Known
    ) -> Receipt:
        """Check against the workspace and apply, again whenever another push was applied in the meantime."""
        for _ in range(_ROUNDS):
            receipt = await self._settle(attempt, envelope, parts, roster, known)
            if receipt is not None:
                return receipt
            known = await self._stored(attempt)
        raise StorageUnavailable("Too many pushes at the same time. Send this one again.", retry_after=1)

    async def _settle(
        self, attempt: Attempt, envelope: Envelope, parts: tuple[PartShape, ...], roster: TenantRoster, known: _Known
    ) -> Receipt | None:
        """Check against a workspace and apply; None if it has changed meanwhile."""
        floors = content_checks.floors_of(parts, known.workspace, roster)
        content_checks.new_payload(known.accepted, envelope, floors)  # PAYLOAD
        content_checks.version_above_floor(envelope, floors)  # VERSION
        judging = partial(self._judge, envelope, parts, known.workspace)
        outcomes, warnings = await checked(attempt.body, judging)  # SCHEMA to VALIDATORS
        return await self._apply(attempt, envelope, known, outcomes, warnings, roster=roster)  # APPLY

    def _judge(
        self, envelope: Envelope, parts: tuple[PartShape, ...], workspace: Workspace
    ) -> tuple[list[SectionOutcome], list[Finding]]:
        """The outcome of each part, and the warnings."""
        registry, host = self._context.registry, self._context.host
        outcomes = content_checks.outcomes_of(envelope, parts, workspace, registry.sections)
        contexts = content_checks.contexts_of(outcomes, workspace, registry, self._context.options)
        warnings = content_checks.schema_fits(outcomes, contexts, registry)  # SCHEMA
        warnings += content_checks.modules_permitted(outcomes, workspace, registry, host)  # MODULES
        warnings += content_checks.validators_content(outcomes, contexts, host)  # VALIDATORS
        return outcomes, warnings

    async def _apply(
        self,
        attempt: Attempt,
        envelope: Envelope,
        known: _Known,
        outcomes: list[SectionOutcome],
        warnings: list[Finding],
        *,
        roster: TenantRoster,
    ) -> Receipt | None:
        """Apply durably, or preview; None if the workspace has changed meanwhile."""
        now, applies = self._context.now(), envelope.mode == "apply"
        planned = self._context.plan(outcomes, known.workspace, self._intent(attempt, envelope, now), roster)
        warnings = warnings + planned.clashes() + await self._modules_in_use(planned)
        status: ReceiptStatus = planned.status if applies else "previewed"
        revision = planned.after.revision if applies else None
        entry = attempt.entry(
            self._context.ids.at(now), status, now, revision=revision, changes_count=len(planned.changes)
        )
        nonce, seconds = self._attempt_log.nonce_claim(attempt, status), int(now.timestamp())
        if applies:
            claims = (nonce, Claim(PAYLOAD_CLAIM, planned.intent.fingerprint, nonce.evidence))
            freed = attempt.fingerprints if any(known.accepted) else ()  # its version no longer counts
            unit = await unit_of(
                self._context.fingerprints, planned, claims=claims, freed=freed, entry=entry, now=seconds
            )
        else:
            unit = Unit(now=seconds, claims=(nonce,), entries=(entry,))
        committed = await self._attempt_log.write(attempt, unit)
        if committed is None:
            return None
        if applies and committed.revision == planned.after.revision:
            self._context.learn(planned)
        return planned.receipt(status, warnings, committed.head)

    def _intent(self, attempt: Attempt, envelope: Envelope, now: datetime) -> Intent:
        key, _ = attempt.verified_by()
        return Intent(
            payload_type=envelope.type,
            version=envelope.version,
            request_id=attempt.push.request_id,
            applied_at=to_wire(now),
            actor=f"key:{key.version}",
            key_version=key.version,
            fingerprint=attempt.fingerprints[0],
        )

    async def _modules_in_use(self, planned: Plan) -> list[Finding]:
        """A warning for each removed module in which the tenant has records."""
        found = []
        for name in removed_modules(planned.before, planned.after):
            if count := await self._count_records(planned.before.tenant, name):
                message = f"The module {name} is removed; its {count} records stay and return with it."
                found.append(Finding(planned.outcomes[0].prefix, "module_in_use", message, warning=True))
        return found

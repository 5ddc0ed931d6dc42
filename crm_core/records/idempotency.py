"""Idempotency keys: repeats of a request wait for the first one and get the same answer.

The answer is stored as evidence of a claim in the unit that does the work, so both are durable or neither is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from crm_core.errors import (
    CrmError,
    ExternalIdTaken,
    Finding,
    IdempotencyConflict,
    InvalidParameter,
    InvalidRecord,
    LimitReached,
    NotFound,
    NotUnique,
    RecordArchived,
    RecordExists,
    RevisionMismatch,
)
from crm_core.model.caller import Caller
from crm_core.model.keyed_locks import KeyedLocks
from crm_core.plugin.storage import Claim, Conflict, StorageBackend, Unit
from crm_core.workspace.storing import commit

KIND = "idempotency"
RETENTION_SECONDS = 24 * 3600
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REFUSALS: tuple[type[CrmError], ...] = (
    NotFound,
    RevisionMismatch,
    RecordExists,
    RecordArchived,
    InvalidRecord,
    ExternalIdTaken,
    NotUnique,
    LimitReached,
)


class IdempotentRequest(msgspec.Struct, frozen=True):
    """A request with an idempotency key: hashes of caller, path and key, and of query and body."""

    claim_key: str
    digest: str


class StoredRefusal(msgspec.Struct, frozen=True):
    """A refusal as stored evidence."""

    code: str
    detail: str
    errors: tuple[Finding, ...]
    evidence: dict[str, Any]


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """The evidence of a claim: the answer to the first request, or its refusal. ``until``: Unix seconds."""

    digest: str
    until: int
    status: int = 0
    id: str = ""
    revision: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")
    refusal: StoredRefusal | None = None


class WriteResult(msgspec.Struct, frozen=True):
    """The result of a write; for batches ``id`` and ``revision`` are empty. ``replayed``: of an earlier request."""

    status: int
    body: bytes
    id: str = ""
    revision: int = 0
    replayed: bool = False


class ClaimTaken(Exception):
    """Another request has the claim; ``evidence`` is that of its outcome."""

    def __init__(self, evidence: bytes) -> None:
        super().__init__()
        self.evidence = evidence


class ReplayedRefusal(Exception):
    """The first request with the idempotency key was refused; ``error`` is that refusal."""

    def __init__(self, error: CrmError) -> None:
        super().__init__()
        self.error = error


def idempotent_request(key: str, caller: Caller, path: str, sent: bytes) -> IdempotentRequest:
    """The request that an Idempotency-Key identifies. ``sent``: query and body.

    Raises InvalidParameter.
    """
    if _KEY.fullmatch(key) is None:
        raise InvalidParameter("Idempotency-Key is 1 to 255 printable characters without spaces.")
    claim_key = f"{caller.actor}\n{path}\n{key}"
    return IdempotentRequest(hashlib.sha256(claim_key.encode()).hexdigest(), hashlib.sha256(sent).hexdigest())


def claim_of(idempotent: IdempotentRequest | None, now: int, written: WriteResult) -> tuple[Claim, ...]:
    """The claim for the unit that does the work."""
    if idempotent is None:
        return ()
    evidence = Evidence(
        digest=idempotent.digest,
        until=now + RETENTION_SECONDS,
        status=written.status,
        id=written.id,
        revision=written.revision,
        body=msgspec.Raw(written.body),
    )
    return (Claim(KIND, idempotent.claim_key, msgspec.json.encode(evidence), evidence.until, subject=written.id),)


class Idempotency:
    """Runs each idempotent request once. ``now``: Unix seconds."""

    def __init__(self, backend: StorageBackend, now: Callable[[], int]) -> None:
        self._backend = backend
        self._now = now
        self._locks = KeyedLocks()

    async def was_done(self, tenant: str, idempotent: IdempotentRequest) -> bool:
        """Whether a request with this key was answered, and not refused."""
        stored = await self._backend.claim(tenant, KIND, idempotent.claim_key)
        first = None if stored is None else _read(stored)
        return first is not None and first.refusal is None

    async def run(
        self,
        tenant: str,
        idempotent: IdempotentRequest | None,
        work: Callable[[], Awaitable[WriteResult]],
        subject: str = "",
    ) -> WriteResult:
        """The result of ``work``, which commits with ``claim_of``, or that of the first request with the key.

        Refusals of the request are stored too; refusals of the caller and server errors are not.
        ``subject``: the id of the record that the request names; its erase clears a stored refusal.

        Raises IdempotencyConflict, ReplayedRefusal, NotFound: the record that the first request wrote was erased.
        """
        if idempotent is None:
            return await work()
        async with self._locks.of(tenant, idempotent.claim_key):
            stored = await self._backend.claim(tenant, KIND, idempotent.claim_key)
            if stored is not None and ((first := _read(stored)) is None or first.until >= self._now()):
                return _replay(first, idempotent)
            try:
                return await work()
            except ClaimTaken as taken:  # by another process on the same database
                return _replay(_read(taken.evidence), idempotent)
            except _REFUSALS as error:
                first_answer = await self._store_refusal(tenant, idempotent, error, subject)
                if first_answer is None:
                    raise
                return first_answer

    async def _store_refusal(
        self, tenant: str, idempotent: IdempotentRequest, error: CrmError, subject: str
    ) -> WriteResult | None:
        """Store a refusal; the answer to the first request if another process was first, and that was not refused."""
        now = self._now()
        refusal = StoredRefusal(error.code, error.detail, error.errors, dict(error.evidence))
        evidence = Evidence(digest=idempotent.digest, until=now + RETENTION_SECONDS, refusal=refusal)
        stored = msgspec.json.encode(evidence)
        claim = Claim(KIND, idempotent.claim_key, stored, evidence.until, subject=subject)
        outcome = await commit(self._backend, tenant, Unit(now=now, claims=(claim,)))
        return _replay(_read(outcome.evidence), idempotent) if isinstance(outcome, Conflict) else None


def _read(evidence: bytes) -> Evidence | None:
    """The outcome of the first request; None if its record was erased since."""
    return msgspec.json.decode(evidence, type=Evidence | None)


def _replay(first: Evidence | None, idempotent: IdempotentRequest) -> WriteResult:
    if first is None:
        raise NotFound("An earlier request with this Idempotency-Key wrote a record that was erased since.")
    if first.digest != idempotent.digest:
        raise IdempotencyConflict(
            "Another request used this Idempotency-Key within the last 24 hours. Make a new key for each new request."
        )
    if first.refusal is not None:
        raise ReplayedRefusal(_refused(first.refusal))
    return WriteResult(first.status, bytes(first.body), first.id, first.revision, replayed=True)


def _refused(refusal: StoredRefusal) -> CrmError:
    kind = next(each for each in _REFUSALS if each.code == refusal.code)
    return kind(refusal.detail, errors=refusal.errors, **refusal.evidence)

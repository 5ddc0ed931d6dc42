"""Idempotency keys: the first answer to a request is given again to its repeats, which wait for it.

The answer stands as evidence in a claim that is part of the unit that did the work, so both are durable or neither is.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
)
from crm_core.model.caller import Caller
from crm_core.plugin.storage import Claim, Conflict, StorageBackend, Unit

KIND = "idempotency"
HELD_SECONDS = 24 * 3600
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REFUSALS: tuple[type[CrmError], ...] = (InvalidRecord, ExternalIdTaken, LimitReached)


class IdempotentRequest(msgspec.Struct, frozen=True):
    """A request that is to be done once: ``key`` is of caller, path and key, ``digest`` of what was sent."""

    key: str
    digest: str


class StoredRefusal(msgspec.Struct, frozen=True):
    """A refusal as evidence."""

    code: str
    detail: str
    errors: tuple[Finding, ...]
    evidence: dict[str, Any]


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a claim says of the first request: its answer, or its refusal. ``until``: Unix seconds."""

    digest: str
    until: int
    status: int = 0
    id: str = ""
    revision: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")
    refusal: StoredRefusal | None = None


class WriteResult(msgspec.Struct, frozen=True):
    """The answer to a write: ``id`` and ``revision`` of the record, for batches empty. ``replayed``: given before."""

    status: int
    body: bytes
    id: str = ""
    revision: int = 0
    replayed: bool = False


class ClaimTaken(Exception):
    """The unit's claim is another's; its evidence says what became of that request."""

    def __init__(self, evidence: bytes) -> None:
        super().__init__()
        self.evidence = evidence


class ReplayedRefusal(Exception):
    """The first request with the key was refused; ``error`` is that refusal."""

    def __init__(self, error: CrmError) -> None:
        super().__init__()
        self.error = error


def idempotent_request(key: str | None, caller: Caller, path: str, sent: bytes) -> IdempotentRequest | None:
    """What an Idempotency-Key field asks for; None where there is none. ``sent``: query and body. InvalidParameter."""
    if key is None:
        return None
    if _KEY.fullmatch(key) is None:
        raise InvalidParameter("Idempotency-Key is 1 to 255 printable characters without spaces.")
    place = f"{caller.actor}\n{path}\n{key}"
    return IdempotentRequest(hashlib.sha256(place.encode()).hexdigest(), hashlib.sha256(sent).hexdigest())


def claim_of(idempotent: IdempotentRequest | None, now: int, written: WriteResult) -> tuple[Claim, ...]:
    """The claim that goes into the unit which does what was asked for."""
    if idempotent is None:
        return ()
    evidence = Evidence(
        digest=idempotent.digest,
        until=now + HELD_SECONDS,
        status=written.status,
        id=written.id,
        revision=written.revision,
        body=msgspec.Raw(written.body),
    )
    return (Claim(KIND, idempotent.key, msgspec.json.encode(evidence), evidence.until),)


class Turns:
    """One at a time for each key; a key that nobody waits for is forgotten."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, place: tuple[str, str]) -> AsyncIterator[None]:
        """Wait for those who came before."""
        lock, waiting = self._locks.get(place, (asyncio.Lock(), 0))
        self._locks[place] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            waiting = self._locks[place][1] - 1
            if waiting:
                self._locks[place] = (lock, waiting)
            else:
                del self._locks[place]


class Idempotency:
    """Does what is asked for once. ``now``: Unix seconds."""

    def __init__(self, backend: StorageBackend, now: Callable[[], int]) -> None:
        self._backend = backend
        self._now = now
        self._turns = Turns()

    async def run(
        self, tenant: str, idempotent: IdempotentRequest | None, work: Callable[[], Awaitable[WriteResult]]
    ) -> WriteResult:
        """The answer of ``work``, or that of the first request with the key.

        ``work`` commits with ``claim_of``. A refusal of what the record says is an answer too and is kept; one of the
        caller, and a failure of ours, is not. Raises IdempotencyConflict, ReplayedRefusal.
        """
        if idempotent is None:
            return await work()
        async with self._turns.of((tenant, idempotent.key)):
            kept = await self._backend.claim(tenant, KIND, idempotent.key)
            if kept is not None and (first := _read(kept)).until >= self._now():
                return _again(first, idempotent)
            try:
                return await work()
            except ClaimTaken as taken:  # by another process on the same database
                return _again(_read(taken.evidence), idempotent)
            except _REFUSALS as error:
                await self._keep(tenant, idempotent, error)
                raise

    async def _keep(self, tenant: str, idempotent: IdempotentRequest, error: CrmError) -> None:
        now = self._now()
        refusal = StoredRefusal(error.code, error.detail, error.errors, dict(error.evidence))
        evidence = Evidence(digest=idempotent.digest, until=now + HELD_SECONDS, refusal=refusal)
        claim = Claim(KIND, idempotent.key, msgspec.json.encode(evidence), evidence.until)
        outcome = await self._backend.commit(tenant, Unit(now=now, claims=(claim,)))
        if isinstance(outcome, Conflict):
            _again(_read(outcome.evidence), idempotent)


def _read(evidence: bytes) -> Evidence:
    return msgspec.json.decode(evidence, type=Evidence)


def _again(first: Evidence, idempotent: IdempotentRequest) -> WriteResult:
    if first.digest != idempotent.digest:
        raise IdempotencyConflict(
            "This Idempotency-Key came with another request within the last 24 hours; make a new key for a new request."
        )
    if first.refusal is not None:
        raise ReplayedRefusal(_refused(first.refusal))
    return WriteResult(first.status, bytes(first.body), first.id, first.revision, replayed=True)


def _refused(refusal: StoredRefusal) -> CrmError:
    kind = next(each for each in _REFUSALS if each.code == refusal.code)
    return kind(refusal.detail, errors=refusal.errors, **refusal.evidence)

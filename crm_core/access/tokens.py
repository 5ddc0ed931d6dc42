"""API tokens of external systems: shown once, stored as their SHA-256, looked up at every request."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Literal

import msgspec
from cachetools import LRUCache
from itsdangerous import BadSignature

from crm_core.access.delegation import require_may_give
from crm_core.access.scopes import checked_scopes
from crm_core.access.storing import commit
from crm_core.errors import Finding, InvalidRecord, LimitReached, NotFound, RevisionMismatch, Unauthenticated
from crm_core.model.caller import OPERATOR, Caller, actor_of
from crm_core.model.ids import Ids
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin.storage import (
    Conflict,
    CountBelow,
    Delete,
    Document,
    DocumentAt,
    IndexFree,
    Put,
    StorageBackend,
    Unit,
)
from crm_core.workspace import Views
from crm_core.workspace.signer import ExactSigner

TOKENS = "tokens"
PREFIX = "crm_"
MAX_TOKENS = 1000  # of a tenant, ended ones included
_DIGEST = "digest"
_RANDOM_BYTES = 24
_LENGTH = len(PREFIX) + 32 + 1 + 43  # 24 random bytes and a SHA-256 signature in base64url
_CACHE_SIZE = 10_000  # callers
_INVALID = "Send a valid token: Authorization: Bearer crm_... (crm token create makes one)."


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as stored, without its text. Times are RFC 3339; ``expires_at`` None: never."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    created_by: str = OPERATOR  # tokens of versions that did not store it were all made on the machine
    expires_at: str | None = None
    revoked_at: str | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether the token works, and if not, why."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and from_wire(self.expires_at) <= now else "active"


class _Cached(msgspec.Struct, frozen=True):
    """A cached caller, valid while the store has this body at this revision."""

    revision: int
    body: bytes
    expires: datetime | None
    caller: Caller


class Tokens:
    """The tokens of all tenants. ``secret_keys``: the instance's, the newest first; ``record_types``: their names.

    A token's text is ``crm_``, 192 random bits and a signature with one of the secret keys (itsdangerous): removing a
    secret key from instance.yaml ends the tokens made with it.
    """

    def __init__(
        self,
        backend: StorageBackend,
        views: Views,
        secret_keys: Iterable[bytes],
        *,
        now: Callable[[], datetime],
        ids: Ids,
        record_types: Collection[str],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._backend = backend
        self._views = views
        self._now = now
        self._ids = ids
        self._record_types = record_types
        self._random_bytes = random_bytes
        # itsdangerous signs with the last key of its list.
        self._signer = ExactSigner(list(reversed(tuple(secret_keys))), salt="crm.token")
        self._callers: LRUCache[tuple[str, str], _Cached] = LRUCache(_CACHE_SIZE)

    async def create(
        self,
        tenant: str,
        *,
        scopes: Iterable[str],
        by: Caller | None,
        name: str = "",
        expires_at: datetime | None = None,
    ) -> tuple[str, ApiToken]:
        """Make a token and return its text, which is not stored. ``by``: the user; None is an operator.

        Raises PermissionDenied (a scope for a core key that the user lacks), InvalidRecord (unknown scope, a past
        expiry, a bad name), LimitReached, UnknownTenant.
        """
        scopes, now = tuple(scopes), self._now()
        if by is not None:
            require_may_give(scopes, by, (await self._views.of(tenant)).roles)
        token = ApiToken(
            id=self._ids.new(),
            name=_checked_name(name),
            scopes=checked_scopes(scopes, self._record_types),
            created_at=to_wire(now),
            created_by=actor_of(by),
            expires_at=_checked_expiry(expires_at, now),
        )
        secret = base64.urlsafe_b64encode(self._random_bytes(_RANDOM_BYTES))
        text = PREFIX + self._signer.sign(secret).decode()
        digest = _digest(text)
        unit = Unit(
            now=int(now.timestamp()),
            expect=(IndexFree(TOKENS, _DIGEST, digest, token.id), CountBelow(TOKENS, MAX_TOKENS)),
            puts=(Put(TOKENS, token.id, msgspec.json.encode(token), {_DIGEST: digest}),),
            deletes=await self._room(tenant, now),
        )
        if isinstance(await commit(self._backend, tenant, unit), Conflict):
            raise LimitReached(
                f"There are {MAX_TOKENS} active tokens, the most there can be. Revoke some first.", limit=MAX_TOKENS
            )
        return text, token

    async def caller(self, tenant: str, text: str) -> Caller:
        """The caller of a token. Raises Unauthenticated, alike for unknown, foreign, expired and revoked ones."""
        if len(text) != _LENGTH or not text.isascii():
            raise Unauthenticated(_INVALID)
        digest = _digest(text)
        cached = self._callers.get((tenant, digest))
        if cached is None:
            self._check_made_here(text)
        document = (await self._backend.find(tenant, TOKENS, _DIGEST, digest)).document
        if document is None:
            self._callers.pop((tenant, digest), None)
            raise Unauthenticated(_INVALID)
        if cached is None or cached.revision != document.revision or cached.body != document.body:
            cached = self._cache((tenant, digest), document)
        if cached.expires is not None and cached.expires <= self._now():
            raise Unauthenticated(_INVALID)
        return cached.caller

    async def current(self, tenant: str, id: str) -> Caller:  # noqa: A002 -- the wire's word
        """The caller of a token by its id. Raises Unauthenticated unless it is active."""
        document = (await self._backend.get(tenant, TOKENS, id)).document
        if document is None or _read(document).state(self._now()) != "active":
            raise Unauthenticated(_INVALID)
        return _caller(_read(document), document.revision)

    async def name_of(self, tenant: str, id: str) -> str | None:  # noqa: A002 -- the wire's word
        """The name of a token, ended ones too; None if there is no such token."""
        document = (await self._backend.get(tenant, TOKENS, id)).document
        return None if document is None else _read(document).name

    async def list(self, tenant: str) -> list[ApiToken]:
        """All tokens, ended ones too, the oldest first."""
        return [_read(document) async for document in self._backend.documents(tenant, TOKENS)]

    async def revoke(self, tenant: str, id: str, *, by: Caller | None) -> ApiToken:  # noqa: A002 -- the wire's word
        """Revoke a token; revoking it again changes nothing. ``by``: the user; None is an operator.

        Raises NotFound, PermissionDenied (the user could not have made it), RevisionMismatch.
        """
        document = (await self._backend.get(tenant, TOKENS, id)).document
        if document is None:
            raise NotFound("There is no token with this id. `crm token list` shows the existing ones.")
        token = _read(document)
        if by is not None:
            require_may_give(token.scopes, by, (await self._views.of(tenant)).roles)
        if token.revoked_at is not None:
            return token
        now = self._now()
        token = msgspec.structs.replace(token, revoked_at=to_wire(now))
        unit = Unit(
            now=int(now.timestamp()),
            expect=(DocumentAt(TOKENS, id, document.revision),),
            puts=(Put(TOKENS, id, msgspec.json.encode(token)),),  # without its index it is not found again
        )
        if isinstance(await commit(self._backend, tenant, unit), Conflict):
            raise RevisionMismatch("Someone else changed this token at the same time. Repeat the command.")
        return token

    def _check_made_here(self, text: str) -> None:
        """Refuse texts that this instance never made, without a look at the store."""
        try:
            if text.startswith(PREFIX):
                self._signer.unsign(text.removeprefix(PREFIX))
                return
        except BadSignature:
            pass
        raise Unauthenticated(_INVALID)

    def _cache(self, place: tuple[str, str], document: Document) -> _Cached:
        token = _read(document)
        expires = None if token.expires_at is None else from_wire(token.expires_at)
        cached = _Cached(document.revision, document.body, expires, _caller(token, document.revision))
        self._callers[place] = cached
        return cached

    async def _room(self, tenant: str, now: datetime) -> tuple[Delete, ...]:
        """The oldest ended token, if there is no room for another one."""
        if await self._backend.count(tenant, TOKENS) < MAX_TOKENS:
            return ()
        return tuple(Delete(TOKENS, token.id) for token in await self.list(tenant) if token.state(now) != "active")[:1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(document: Document) -> ApiToken:
    return msgspec.json.decode(document.body, type=ApiToken)


def _caller(token: ApiToken, revision: int) -> Caller:
    return Caller(kind="token", id=token.id, name=token.name, revision=revision, scopes=frozenset(token.scopes))


def _checked_name(name: str) -> str:
    if len(name) > 200 or not (name.isprintable() or name == ""):
        message = "The name must be up to 200 printable characters on one line."
        raise InvalidRecord(message, errors=[Finding("/name", "invalid_value", message)])
    return name


def _checked_expiry(expires_at: datetime | None, now: datetime) -> str | None:
    if expires_at is None:
        return None
    if expires_at <= now:
        message = "The expiry is in the past. Enter a later time."
        raise InvalidRecord(message, errors=[Finding("/expires_at", "invalid_value", message)])
    return to_wire(expires_at)

"""API tokens of external systems: shown once, stored as their SHA-256, looked up at every request."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from crm_core.access.copied_store import end_foreign_access, has_foreign_access, home
from crm_core.access.delegation import require_may_give
from crm_core.access.scopes import checked_scopes
from crm_core.access.token import TOKENS, ApiToken, TokenOverview, checked_expiry, checked_name, read_token, revoked
from crm_core.access.token_uses import TOKEN_USES, TokenUses
from crm_core.access.user import USERS
from crm_core.errors import LimitReached, NotFound, StorageUnavailable, Unauthenticated
from crm_core.model.caller import Caller, actor_of
from crm_core.model.ids import Ids
from crm_core.model.recent import Recent
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin.storage import (
    Conflict,
    CountBelow,
    Delete,
    Document,
    DocumentAt,
    Expectation,
    IndexFree,
    Put,
    StorageBackend,
    Unit,
)
from crm_core.workspace import Views
from crm_core.workspace.signer import ExactSigner, newest_last
from crm_core.workspace.storing import commit

PREFIX = "crm_"
MAX_TOKENS = 1000  # of a tenant, ended ones included
_DIGEST = "digest"
_RANDOM_BYTES = 24
_LENGTH = len(PREFIX) + 32 + 1 + 43  # 24 random bytes and a SHA-256 signature in base64url
_CACHE_SIZE = 10_000  # callers
_ATTEMPTS = 5
_INVALID = "Send a valid token: Authorization: Bearer crm_... (crm token create makes one)."


class _Cached(msgspec.Struct, frozen=True):
    """A cached caller, valid while the stored token has this revision and body."""

    revision: int
    body: bytes
    expires: datetime | None
    caller: Caller


class Tokens:
    """The tokens of all tenants. ``secret_keys``: the instance's, newest first; ``record_types``: their names.

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
    ) -> None:
        self._backend = backend
        self._views = views
        self._now = now
        self._ids = ids
        self._record_types = record_types
        self.uses = TokenUses(backend, now)
        self._signer = ExactSigner(newest_last(secret_keys), salt="crm.token")
        self._callers: Recent[tuple[str, str], _Cached] = Recent(_CACHE_SIZE)

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
        await self.require_may_give(tenant, scopes, by)
        token = ApiToken(
            id=self._ids.new(),
            name=checked_name(name),
            scopes=checked_scopes(scopes, self._record_types),
            created_at=to_wire(now),
            created_by=actor_of(by),
            expires_at=checked_expiry(expires_at, now),
        )
        if await has_foreign_access(self._backend, tenant):
            await end_foreign_access(self._backend, tenant, now)
        secret = base64.urlsafe_b64encode(os.urandom(_RANDOM_BYTES))
        text = PREFIX + self._signer.sign(secret).decode()
        digest = _digest(text)
        expect: list[Expectation] = [IndexFree(TOKENS, _DIGEST, digest, token.id), CountBelow(TOKENS, MAX_TOKENS)]
        if by is not None:  # a user who is being disabled leaves no token behind
            expect.append(DocumentAt(USERS, by.id, by.revision))
        unit = Unit(
            now=int(now.timestamp()),
            expect=tuple(expect),
            puts=(Put(TOKENS, token.id, msgspec.json.encode(token), {_DIGEST: digest}), home(tenant)),
            deletes=await self._room(tenant, now),
        )
        outcome = await commit(self._backend, tenant, unit)
        if isinstance(outcome, Conflict):
            if outcome.what == "document":
                raise _busy("Your account was changed at the same time. Send the request again.")
            raise LimitReached(
                f"There are {MAX_TOKENS} active tokens, the most there can be. Revoke some first.", limit=MAX_TOKENS
            )
        return text, token

    async def caller(self, tenant: str, text: str) -> Caller:
        """The caller of a token. Raises Unauthenticated, with one message for unknown, expired and revoked tokens."""
        if len(text) != _LENGTH or not text.isascii():
            raise Unauthenticated(_INVALID)
        digest = _digest(text)
        cached, seen = self._callers.get((tenant, digest)), None
        if cached is not None:
            read = await self._backend.get(tenant, TOKENS, cached.caller.id)
            document, seen = read.document, (read.revision, read.epoch)
            if document is None or cached.revision != document.revision or cached.body != document.body:
                cached = None
        else:
            self._check_made_here(text)
        if cached is None:
            document = (await self._backend.find(tenant, TOKENS, _DIGEST, digest)).document
            if document is None or await has_foreign_access(self._backend, tenant):
                self._callers.forget((tenant, digest))
                raise Unauthenticated(_INVALID)
            cached = self._cache((tenant, digest), document)
        if cached.expires is not None and cached.expires <= self._now():
            raise Unauthenticated(_INVALID)
        self.uses.note(tenant, cached.caller.id)
        if cached.caller.seen != seen:
            caller = msgspec.structs.replace(cached.caller, seen=seen)
            cached = msgspec.structs.replace(cached, caller=caller)
            self._callers.add((tenant, digest), cached)
        return cached.caller

    async def current(self, tenant: str, id: str) -> Caller:  # noqa: A002 -- the wire's word
        """The caller of a token by its id. Raises Unauthenticated unless it is active."""
        document = (await self._backend.get(tenant, TOKENS, id)).document
        if document is None or (token := read_token(document)).state(self._now()) != "active":
            raise Unauthenticated(_INVALID)
        return _caller(token, document.revision)

    async def name_of(self, tenant: str, id: str) -> str | None:  # noqa: A002 -- the wire's word
        """The name of a token, ended ones too; None if there is no such token."""
        document = (await self._backend.get(tenant, TOKENS, id)).document
        return None if document is None else read_token(document).name

    async def list(self, tenant: str) -> list[ApiToken]:
        """All tokens, ended ones too, the oldest first."""
        return [read_token(document) async for document in self._backend.documents(tenant, TOKENS)]

    async def overview(self, tenant: str) -> Sequence[TokenOverview]:
        """All tokens as callers see them, ended ones too, the oldest first."""
        now, uses = self._now(), await self.uses.of(tenant)
        return [
            TokenOverview(**msgspec.structs.asdict(token), state=token.state(now), last_used_at=uses.get(token.id))
            for token in await self.list(tenant)
        ]

    async def require_may_give(self, tenant: str, scopes: Iterable[str], by: Caller | None) -> None:
        """Raise PermissionDenied unless the caller may make, and revoke, a token with these scopes."""
        if by is not None:
            require_may_give(scopes, by, (await self._views.of(tenant)).roles)

    async def revoke(self, tenant: str, id: str, *, by: Caller | None) -> ApiToken:  # noqa: A002 -- the wire's word
        """Revoke a token; revoking it again changes nothing. ``by``: the user; None is an operator.

        Raises NotFound, PermissionDenied (the user could not have made it), StorageUnavailable.
        """
        for _ in range(_ATTEMPTS):
            document = (await self._backend.get(tenant, TOKENS, id)).document
            if document is None:
                raise NotFound("There is no token with this id. `crm token list` shows the existing ones.")
            token, now = read_token(document), self._now()
            await self.require_may_give(tenant, token.scopes, by)
            if token.revoked_at is not None:
                return token
            token, put = revoked(token, now)
            unit = Unit(now=int(now.timestamp()), expect=(DocumentAt(TOKENS, id, document.revision),), puts=(put,))
            if not isinstance(await commit(self._backend, tenant, unit), Conflict):
                return token
        raise _busy("This token is being changed by others right now. Send the request again.")

    def _check_made_here(self, text: str) -> None:
        """Refuse texts that this instance never made, without reading the store."""
        if not text.startswith(PREFIX) or not self._signer.validate(text.removeprefix(PREFIX)):
            raise Unauthenticated(_INVALID)

    def _cache(self, place: tuple[str, str], document: Document) -> _Cached:
        token = read_token(document)
        expires = None if token.expires_at is None else from_wire(token.expires_at)
        cached = _Cached(document.revision, document.body, expires, _caller(token, document.revision))
        self._callers.add(place, cached)
        return cached

    async def _room(self, tenant: str, now: datetime) -> tuple[Delete, ...]:
        """The oldest ended token, if there is no room for another one."""
        if await self._backend.count(tenant, TOKENS) < MAX_TOKENS:
            return ()
        ended = next((token.id for token in await self.list(tenant) if token.state(now) != "active"), None)
        return () if ended is None else (Delete(TOKENS, ended), Delete(TOKEN_USES, ended))


def _busy(detail: str) -> StorageUnavailable:
    return StorageUnavailable(detail, retry_after=1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _caller(token: ApiToken, revision: int) -> Caller:
    return Caller(kind="token", id=token.id, name=token.name, revision=revision, scopes=frozenset(token.scopes))

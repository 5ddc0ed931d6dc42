"""Sessions: the server-side state of a user's cookie, access token and refresh token, so that a sign-in can be ended.

A session is valid until it ends or expires, its user is disabled, or the user's epoch changes. A new password and
disabling a user change the epoch, which ends all of the user's sessions in that one write.

One that is opened while the tenant cannot be written stays in memory, and ends with the process: reading needs no
write, and the user may want to find out what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from crm_core.access.signed import SignedTexts
from crm_core.access.user import USERS, StoredUser, read_user
from crm_core.errors import StorageFull, StorageUnavailable, TokenReused, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.model.ids import Ids
from crm_core.model.recent import Recent
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin.query import PageQuery
from crm_core.plugin.storage import Committed, Delete, Document, DocumentAt, Put, StorageBackend, Unit
from crm_core.workspace.storing import commit

SESSIONS: Final = "sessions"
ACCESS_LIFETIME: Final = timedelta(minutes=15)
REFRESH_LIFETIME: Final = timedelta(days=30)  # from the last refresh
BROWSER_LIFETIME: Final = timedelta(days=7)
MAX_SESSIONS: Final = 200  # of a user; then the oldest ends
_CSRF_TOKENS: Final = 4096  # cached, since pages need theirs again and again
_SWEPT: Final = 20  # of the oldest, checked when a session is opened
_MOST_UNSTORED: Final = 1000  # sessions in memory, of all tenants; then the one that was used least recently ends

_INVALID: Final = "Sign in again, or send an API token (crm_...): this session is unknown, has expired, or was ended."
_REUSED: Final = "A refresh token of this session was used twice, so the session has ended. Sign in again."
SessionKind = Literal["api", "browser"]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session as stored. ``refreshed`` counts its refresh tokens; ``reused``: one of them was used twice."""

    id: str
    user: str
    epoch: int
    kind: SessionKind
    created_at: str
    expires_at: str
    refreshed: int = 0
    reused: bool = False

    def put(self) -> Put:
        """The session as a document with its indexes."""
        indexes = {"user": self.user, "created_at": self.created_at}
        return Put(SESSIONS, self.id, msgspec.json.encode(self), indexes)


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of a custom app; ``expires_in`` is the access token's lifetime in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str

    def __repr__(self) -> str:
        return "Grant(...)"


class Sessions:
    """The sessions of all tenants."""

    def __init__(self, backend: StorageBackend, signed: SignedTexts, now: Callable[[], datetime], ids: Ids) -> None:
        self._backend = backend
        self._signed = signed
        self._now = now
        self._ids = ids
        self._csrf_tokens: Recent[tuple[str, str, datetime], str] = Recent(_CSRF_TOKENS)
        self._unstored: Recent[tuple[str, str], Session] = Recent(_MOST_UNSTORED)

    async def open(self, tenant: str, stored: StoredUser, kind: SessionKind) -> Session:
        """Open a session for a user whose password was verified.

        Raises StorageUnavailable, StorageFull if it cannot be stored and processes share the store: others would not
        know it.
        """
        now = self._now()
        lifetime = BROWSER_LIFETIME if kind == "browser" else REFRESH_LIFETIME
        session = Session(
            id=self._ids.new(),
            user=stored.user.id,
            epoch=stored.user.epoch,
            kind=kind,
            created_at=to_wire(now),
            expires_at=to_wire(now + lifetime),
        )
        expired = await self._sweep(tenant, stored, now)
        unit = Unit(now=int(now.timestamp()), puts=(session.put(),), deletes=expired)
        try:
            await commit(self._backend, tenant, unit)  # without expectations there is no conflict
        except (StorageUnavailable, StorageFull):
            if not self._backend.EXCLUSIVE:
                raise
            self._unstored.add((tenant, session.id), session)
        return session

    def grant(self, tenant: str, session: Session) -> Grant:
        """An access token and the refresh token for the next one."""
        return Grant(
            access_token=self._signed.make("access", tenant, session.id, lifetime=ACCESS_LIFETIME),
            expires_in=int(ACCESS_LIFETIME.total_seconds()),
            refresh_token=self._signed.make(
                "refresh", tenant, session.id, session.refreshed, lifetime=REFRESH_LIFETIME
            ),
        )

    def cookie(self, tenant: str, session: Session) -> str:
        """The value of the session cookie."""
        return self._signed.make("cookie", tenant, session.id, lifetime=BROWSER_LIFETIME)

    def csrf_token(self, tenant: str, session_id: str) -> str:
        """The CSRF token of a session, which its own pages know and other sites do not; the same for an hour."""
        key = (tenant, session_id, self._now().replace(minute=0, second=0, microsecond=0))
        token = self._csrf_tokens.get(key)
        if token is None:
            token = self._signed.make("csrf", tenant, session_id, lifetime=BROWSER_LIFETIME)
            self._csrf_tokens.add(key, token)
        return token

    def is_csrf_token(self, tenant: str, session_id: str, text: str) -> bool:
        """Whether ``text`` is a CSRF token of this session."""
        return self._signed.read("csrf", text) == (tenant, session_id)

    async def by_access_token(self, tenant: str, text: str) -> Caller:
        """The user of an access token. Raises Unauthenticated."""
        return await self.caller(tenant, self._read_signed(tenant, "access", text)[0])

    async def by_cookie(self, tenant: str, text: str) -> Caller:
        """The user of a session cookie. Raises Unauthenticated."""
        return await self.caller(tenant, self._read_signed(tenant, "cookie", text)[0])

    async def caller(self, tenant: str, session_id: str) -> Caller:
        """The user of a session. Raises Unauthenticated unless it is valid."""
        document = (await self._backend.get(tenant, SESSIONS, session_id)).document
        session = self._unstored.get((tenant, session_id)) if document is None else _read(document)
        if session is None:
            raise Unauthenticated(_INVALID)
        stored, seen = await self._user(tenant, session)
        return stored.caller(session_id, seen)

    async def refresh(self, tenant: str, text: str) -> Grant:
        """Exchange a refresh token, which is then used up, for the next access and refresh token.

        Raises:
            Unauthenticated: the token or its session is not valid.
            TokenReused: the token was used before; this ends the session.
        """
        session_id, number = self._read_signed(tenant, "refresh", text)
        while True:
            document = (await self._backend.get(tenant, SESSIONS, session_id)).document
            if document is None:
                raise Unauthenticated(_INVALID)
            session = _read(document)
            if session.reused:
                raise TokenReused(_REUSED)
            await self._user(tenant, session)
            now = self._now()
            if number == session.refreshed:
                after = msgspec.structs.replace(
                    session, refreshed=number + 1, expires_at=to_wire(now + REFRESH_LIFETIME)
                )
            else:
                after = msgspec.structs.replace(session, reused=True)
            expect = (DocumentAt(SESSIONS, session_id, document.revision),)
            unit = Unit(now=int(now.timestamp()), expect=expect, puts=(after.put(),))
            # Of two at the same time, the second conflicts, reads the session again, and counts as reuse.
            if isinstance(await commit(self._backend, tenant, unit), Committed):
                if after.reused:
                    raise TokenReused(_REUSED)
                return self.grant(tenant, after)

    async def end(self, tenant: str, session_id: str) -> None:
        """Sign out, which ends the session's cookie and tokens."""
        was_unstored = self._unstored.get((tenant, session_id)) is not None
        self._unstored.forget((tenant, session_id))
        unit = Unit(now=int(self._now().timestamp()), deletes=(Delete(SESSIONS, session_id),))
        try:
            await commit(self._backend, tenant, unit)  # also of one in memory: the outcome of its write may be unknown
        except (StorageUnavailable, StorageFull):
            if not was_unstored:
                raise

    def _read_signed(self, tenant: str, purpose: str, text: str) -> tuple[Any, ...]:
        """The id of a session, and what else its text says. Raises Unauthenticated."""
        parts = self._signed.read(purpose, text)
        if parts is None or parts[0] != tenant:
            raise Unauthenticated(_INVALID)
        return parts[1:]

    async def _user(self, tenant: str, session: Session) -> tuple[StoredUser, tuple[int, str]]:
        """The user of a valid session, and the revision and epoch of the workspace that came with it."""
        if session.reused or from_wire(session.expires_at) <= self._now():
            raise Unauthenticated(_INVALID)
        read = await self._backend.get(tenant, USERS, session.user)
        stored = None if read.document is None else read_user(read.document)
        if stored is None or stored.user.disabled or stored.user.epoch != session.epoch:
            raise Unauthenticated(_INVALID)
        return stored, (read.revision, read.epoch)

    async def _sweep(self, tenant: str, stored: StoredUser, now: datetime) -> tuple[Delete, ...]:
        """The user's sessions to delete: ended ones among the oldest or, at the limit, the oldest one."""
        query = PageQuery(
            collection=SESSIONS, sort="created_at", filters=(("user", (stored.user.id,)),), limit=_SWEPT, total=True
        )
        page = await self._backend.page(tenant, query)
        oldest = [_read(document) for document in page.documents]
        epoch = stored.user.epoch
        ended = [session.id for session in oldest if session.epoch != epoch or from_wire(session.expires_at) <= now]
        if not ended and (page.total or 0) >= MAX_SESSIONS:
            ended = [oldest[0].id]
        return tuple(Delete(SESSIONS, session_id) for session_id in ended)


def _read(document: Document) -> Session:
    return msgspec.json.decode(document.body, type=Session)

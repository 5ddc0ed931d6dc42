"""Signing in, choosing a password, and the links by which somebody without one gets one."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from crm_core.access.delegation import powers_of, require_may_manage
from crm_core.access.passwords import Passwords
from crm_core.access.sessions import Kind, Session, Sessions
from crm_core.access.signed import SignedTexts
from crm_core.access.throttle import LoginThrottle, SignInAttempt
from crm_core.access.user import StoredUser
from crm_core.access.users import Users
from crm_core.errors import InvalidCredentials, LoginThrottled, NotFound, RevisionMismatch, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.server_log import ServerLog
from crm_core.workspace import Views

INVITATION: Final = timedelta(days=7)
RESET: Final = timedelta(hours=2)

_log = ServerLog("crm.access")
_WRONG: Final = "The e-mail address or the password is wrong."
_SPENT: Final = "This link was used, has expired, or is not whole; ask for a new one."


class SignIn:
    """What people do with passwords. Every refusal of a sign-in is the same and takes the same time."""

    def __init__(
        self,
        users: Users,
        views: Views,
        sessions: Sessions,
        *,
        passwords: Passwords,
        throttle: LoginThrottle,
        signed: SignedTexts,
    ) -> None:
        self._users = users
        self._views = views
        self._sessions = sessions
        self._passwords = passwords
        self._throttle = throttle
        self._signed = signed

    async def sign_in(self, tenant: str, email: str, password: str, *, source: str | None, kind: Kind) -> Session:
        """A new session. Raises InvalidCredentials (also for unknown and disabled users), LoginThrottled."""
        async with self._throttle.attempt(tenant, email, source) as attempt:
            stored = await self._users.by_email(tenant, email)
            right = await self._verified(attempt, None if stored is None else stored.user.password, password)
            attempt.succeeded = right and stored is not None and not stored.user.disabled
        if stored is None or not attempt.succeeded:
            _log.info("sign_in_refused", tenant=tenant, source=source)
            raise InvalidCredentials(_WRONG)
        # Where the password was changed meanwhile, the session is of an epoch that is over and good for nothing.
        session = await self._sessions.open(tenant, stored, kind)
        _log.info("signed_in", tenant=tenant, source=source, user=stored.user.id, kind=kind)
        return session

    async def change_password(
        self, tenant: str, caller: Caller, old: str, new: str, *, source: str | None
    ) -> StoredUser:
        """A new password for somebody who knows the old one; every sign-in of theirs ends, this one too.

        Raises InvalidCredentials, LoginThrottled, InvalidRecord, RevisionMismatch.
        """
        stored = await self._users.get(tenant, caller.id)
        async with self._throttle.attempt(tenant, stored.user.email, source) as attempt:
            attempt.succeeded = await self._verified(attempt, stored.user.password, old)
        if not attempt.succeeded:
            raise InvalidCredentials("The present password is wrong.")
        return await self._set(tenant, stored, new)

    async def link(self, tenant: str, user_id: str, lifetime: timedelta, *, by: Caller | None) -> str:
        """The secret part of a link by which this user may choose a password once.

        It is good until it is used, another password was set, the user was disabled or got a role with more of the
        core's keys, or ``lifetime`` is over. ``by``: the caller who requests it for the user; None for the user's own
        request, whose link goes to the user's address and is shown to no one else. Raises NotFound, and
        PermissionDenied if the caller may not set this user's password.
        """
        stored = await self._users.get(tenant, user_id)
        roles = (await self._views.of(tenant)).roles
        require_may_manage(stored.user.role, by, roles)
        powers = sorted(powers_of(stored.user.role, roles))
        return self._signed.make("password", tenant, user_id, stored.user.epoch, *powers, lifetime=lifetime)

    async def user_of_link(self, tenant: str, text: str) -> StoredUser:
        """The user whom a link is for. Raises Unauthenticated where it is not good any more."""
        parts = self._signed.read("password", text)
        if parts is None or parts[0] != tenant:
            raise Unauthenticated(_SPENT)
        _, user_id, epoch, *powers = parts
        try:
            stored = await self._users.get(tenant, user_id)
        except NotFound:
            raise Unauthenticated(_SPENT) from None
        # A link that was shown while the user could do less must not open the account that can do more.
        roles = (await self._views.of(tenant)).roles
        grown = not powers_of(stored.user.role, roles) <= frozenset(powers)
        if stored.user.disabled or stored.user.epoch != epoch or grown:
            raise Unauthenticated(_SPENT)
        return stored

    async def set_password_by_link(self, tenant: str, text: str, password: str) -> StoredUser:
        """Set the password by a link, which is used up by that. Raises Unauthenticated, InvalidRecord."""
        stored = await self.user_of_link(tenant, text)
        try:
            return await self._set(tenant, stored, password)
        except RevisionMismatch:
            await self.user_of_link(tenant, text)  # used at the same moment: say so
            raise

    async def _verified(self, attempt: SignInAttempt, kept: str | None, password: str) -> bool:
        try:
            return await self._passwords.verify(kept, password)
        except LoginThrottled:  # too many at this moment: nobody's failure
            attempt.withdrawn = True
            raise

    async def _set(self, tenant: str, stored: StoredUser, password: str) -> StoredUser:
        after = await self._users.set_password(tenant, stored, password, f"user:{stored.user.id}")
        if after is None:
            raise RevisionMismatch("The user was changed at this very moment; repeat the request.")
        return after

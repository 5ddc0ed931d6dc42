"""Signing in, changing a password, and the links that set a first or a new one."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from crm_core.access.delegation import powers_of, require_may_manage
from crm_core.access.passwords import Passwords
from crm_core.access.sessions import Session, SessionKind, Sessions
from crm_core.access.signed import SignedTexts
from crm_core.access.throttle import LoginThrottle
from crm_core.access.user import StoredUser
from crm_core.access.users import Users
from crm_core.errors import InvalidCredentials, NotFound, RevisionMismatch, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.model.domains import comparable_address
from crm_core.server_log import ServerLog
from crm_core.workspace import Views

INVITATION: Final = timedelta(days=7)
RESET: Final = timedelta(hours=2)

_log = ServerLog("crm.access")
_WRONG: Final = "The email address or the password is wrong."
_INVALID_LINK: Final = "This link was used, has expired, or is incomplete. Request a new one."


class SignIn:
    """Use cases of passwords. Every refused sign-in gets the same answer and takes the same time."""

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

    async def sign_in(
        self, tenant: str, email: str, password: str, *, source: str | None, kind: SessionKind
    ) -> Session:
        """Open a session. Raises InvalidCredentials (also for unknown and disabled users), LoginThrottled."""
        async with self._throttle.attempt(tenant, email, source) as attempt:
            stored = await self._users.by_email(tenant, email)
            verified = await self._passwords.verify(None if stored is None else stored.user.password, password)
            attempt.succeeded = verified and stored is not None and not stored.user.disabled
        if stored is None or not attempt.succeeded:
            _log.info("sign_in_refused", tenant=tenant, source=source)
            raise InvalidCredentials(_WRONG)
        # If the password was changed meanwhile, the session has the old epoch and is not valid.
        session = await self._sessions.open(tenant, stored, kind)
        _log.info("signed_in", tenant=tenant, source=source, user=stored.user.id, kind=kind)
        return session

    async def change_password(
        self, tenant: str, caller: Caller, old: str, new: str, *, source: str | None
    ) -> StoredUser:
        """Set a new password for a caller who knows the old one; this ends all of their sessions.

        Raises InvalidCredentials, LoginThrottled, InvalidRecord, RevisionMismatch.
        """
        stored = await self._users.get(tenant, caller.id)
        async with self._throttle.attempt(tenant, stored.user.email, source) as attempt:
            attempt.succeeded = await self._passwords.verify(stored.user.password, old)
        if not attempt.succeeded:
            raise InvalidCredentials("The current password is wrong.")
        return await self._set(tenant, stored, new)

    async def link(self, tenant: str, user_id: str, lifetime: timedelta, *, by: Caller | None) -> str:
        """The secret part of a link that lets this user set a password once.

        It ends after ``lifetime``, when it is used or another password is set, and when the user is disabled or gets
        another email address or more core keys. ``by``: the caller who requests it for the user; None for the user's
        own request, whose link is sent to the user's address and shown to no one else.

        Raises:
            NotFound: there is no such user.
            PermissionDenied: the caller may not set this user's password.
        """
        stored = await self._users.get(tenant, user_id)
        roles = (await self._views.of(tenant)).roles
        require_may_manage(stored.user.role, by, roles)
        powers = sorted(powers_of(stored.user.role, roles))
        address = comparable_address(stored.user.email)
        return self._signed.make("password", tenant, user_id, stored.user.epoch, address, *powers, lifetime=lifetime)

    async def user_of_link(self, tenant: str, text: str) -> StoredUser:
        """The user of a link. Raises Unauthenticated if it is not valid."""
        parts = self._signed.read("password", text)
        if parts is None or parts[0] != tenant:
            raise Unauthenticated(_INVALID_LINK)
        _, user_id, epoch, *made_for = parts
        try:
            stored = await self._users.get(tenant, user_id)
        except NotFound:
            raise Unauthenticated(_INVALID_LINK) from None
        # A link made while the user had fewer rights must not open the account that now has more, nor one that went to
        # an address that was wrong open it once that is corrected. Links of earlier versions name no address.
        roles = (await self._views.of(tenant)).roles
        grown = not powers_of(stored.user.role, roles) <= frozenset(made_for)
        moved = any("@" in one and one != comparable_address(stored.user.email) for one in made_for)
        if stored.user.disabled or stored.user.epoch != epoch or grown or moved:
            raise Unauthenticated(_INVALID_LINK)
        return stored

    async def set_password_by_link(self, tenant: str, text: str, password: str) -> StoredUser:
        """Set the password with a link, which is then used up. Raises Unauthenticated, InvalidRecord."""
        stored = await self.user_of_link(tenant, text)
        try:
            return await self._set(tenant, stored, password)
        except RevisionMismatch:
            await self.user_of_link(tenant, text)  # a link used at the same time is reported as used
            raise

    async def _set(self, tenant: str, stored: StoredUser, password: str) -> StoredUser:
        after = await self._users.set_password(tenant, stored, password, f"user:{stored.user.id}")
        if after is None:
            raise RevisionMismatch("Someone else changed this user at the same time. Send the request again.")
        return after

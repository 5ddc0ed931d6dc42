"""Use cases of users: create, change and list them, within the rules of delegation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from crm_core.access.delegation import named_role, require_may_change, require_may_manage
from crm_core.access.passwords import Passwords
from crm_core.access.throttle import LoginThrottle
from crm_core.access.token import revoked_with
from crm_core.access.user import USERS, StoredUser, User, UserInput, read_input, read_user
from crm_core.errors import Finding, InvalidRecord, LimitReached, NotFound, RevisionMismatch, StorageUnavailable
from crm_core.model.caller import Caller, actor_of
from crm_core.model.domains import comparable_address
from crm_core.model.ids import Ids
from crm_core.model.list_views import LIST_VIEWS
from crm_core.model.patch import merge_patch
from crm_core.model.times import to_wire
from crm_core.plugin.query import Page, PageQuery
from crm_core.plugin.storage import (
    Committed,
    Conflict,
    CountBelow,
    Delete,
    DocumentAt,
    Expectation,
    IndexFree,
    Put,
    StorageBackend,
    Unit,
)
from crm_core.workspace import Views, Workspace
from crm_core.workspace.storing import commit

_ATTEMPTS = 20


class Users:
    """The users of all tenants. ``by`` is the caller; None is an operator on the machine."""

    def __init__(
        self,
        backend: StorageBackend,
        views: Views,
        passwords: Passwords,
        throttle: LoginThrottle,
        *,
        now: Callable[[], datetime],
        ids: Ids,
    ) -> None:
        self._backend = backend
        self._views = views
        self._passwords = passwords
        self._throttle = throttle
        self._now = now
        self._ids = ids

    async def get(self, tenant: str, id: str) -> StoredUser:  # noqa: A002 -- the wire's word
        """One user. Raises NotFound."""
        document = (await self._backend.get(tenant, USERS, id)).document
        if document is None:
            raise NotFound("There is no user with this id.")
        return read_user(document)

    async def by_email(self, tenant: str, email: str) -> StoredUser | None:
        """The user with this address, regardless of case."""
        document = (await self._backend.find(tenant, USERS, "email", comparable_address(email))).document
        return None if document is None else read_user(document)

    async def page(self, tenant: str, query: PageQuery) -> tuple[list[StoredUser], Page]:
        """A page of users; the query is on their collection."""
        page = await self._backend.page(tenant, query)
        return [read_user(document) for document in page.documents], page

    async def count(self, tenant: str) -> int:
        """How many users a tenant has."""
        return await self._backend.count(tenant, USERS)

    async def create(self, tenant: str, data: object, by: Caller | None) -> StoredUser:
        """Create a user from decoded JSON. Raises PermissionDenied, InvalidRecord, LimitReached."""
        workspace = await self._views.of(tenant)
        require_may_manage(named_role(data), by, workspace.roles)
        wanted, findings = read_input(data, None, workspace.catalog, workspace.roles)
        if wanted is None:
            raise _invalid(findings)
        password = None if wanted.password is None else await self._passwords.hash(wanted.password)
        moment, actor = to_wire(self._now()), actor_of(by)
        user = User(
            id=self._ids.new(),
            email=wanted.email,
            name=wanted.name,
            role=wanted.role,
            assignment=wanted.assignment,
            disabled=wanted.disabled,
            password=password,
            created_at=moment,
            updated_at=moment,
            created_by=actor,
            updated_by=actor,
        )
        expect: list[Expectation] = [DocumentAt(USERS, user.id, 0)]
        limit = workspace.entitlements.limits.get(USERS)
        if limit is not None:
            expect.append(CountBelow(USERS, limit))
        outcome = await self._commit(tenant, user, expect, by=by)
        if isinstance(outcome, Conflict):
            raise LimitReached(
                f"The plan includes {limit} users, and all are in use. Ask your operator to raise the limit.",
                limit=limit,
            )
        return StoredUser(user, outcome.documents[0])

    async def update(
        self,
        tenant: str,
        id: str,  # noqa: A002 -- the wire's word
        patch: object,
        by: Caller | None,
        *,
        revisions: Collection[int] | None = None,
    ) -> StoredUser:
        """Change a user by a JSON merge patch; with ``revisions``, only while it is at one of these.

        Raises NotFound, PermissionDenied, RevisionMismatch, InvalidRecord.
        """
        for _ in range(_ATTEMPTS):
            stored = await self.get(tenant, id)
            workspace = await self._views.of(tenant)
            merged = merge_patch(stored.user.writable(), patch)
            require_may_change(stored.user, merged, by, workspace.roles)
            if revisions is not None and stored.revision not in revisions:
                raise RevisionMismatch("Someone else changed this user. Read it again, then repeat your change.")
            user = await self._changed(workspace, stored.user, merged, by)
            if user is stored.user:
                return stored
            outcome = await self.replace(tenant, stored, user, by)
            if outcome is not None:
                return outcome
        raise _busy()

    async def set_password(self, tenant: str, stored: StoredUser, password: str, actor: str) -> StoredUser | None:
        """Set a user's password, which ends all sessions; None if the user has changed since ``stored``.

        Raises InvalidRecord.
        """
        data = {"email": stored.user.email, "role": stored.user.role, "password": password}
        workspace = await self._views.of(tenant)
        wanted, findings = read_input(data, stored.user, workspace.catalog, workspace.roles)
        if wanted is None:
            raise _invalid(findings)
        user = msgspec.structs.replace(
            stored.user,
            password=await self._passwords.hash(password),
            epoch=stored.user.epoch + 1,
            updated_at=to_wire(self._now()),
            updated_by=actor,
        )
        return await self.replace(tenant, stored, user)

    async def choose_language(self, tenant: str, caller: Caller, language: str | None) -> None:
        """Set the language of the caller's pages and emails; None for the workspace's. Raises StorageUnavailable."""
        for _ in range(_ATTEMPTS):
            stored = await self.get(tenant, caller.id)
            moment = to_wire(self._now())
            user = msgspec.structs.replace(stored.user, language=language, updated_at=moment, updated_by=caller.actor)
            if await self.replace(tenant, stored, user) is not None:
                return
        raise _busy()

    async def replace(self, tenant: str, stored: StoredUser, user: User, by: Caller | None = None) -> StoredUser | None:
        """Replace a stored user; None if it, or another super admin that the change depends on, has changed.

        A new password ends the account's lock-out, since the failed attempts were for the old. Disabling a user revokes
        the API tokens that the user made, and removes saved views.

        Raises InvalidRecord if the address is taken or no super admin would be left.
        """
        expect: list[Expectation] = [DocumentAt(USERS, user.id, stored.revision)]
        if stored.user.is_active_super_admin and not user.is_active_super_admin:
            expect.append(await self._another_super_admin(tenant, user))
        puts: tuple[Put, ...] = ()
        deletes: tuple[Delete, ...] = ()
        if user.disabled and not stored.user.disabled:
            expected, puts = await revoked_with(self._backend, tenant, f"user:{user.id}", self._now())
            expect.extend(expected)
            deletes = (Delete(LIST_VIEWS, user.id),)
        outcome = await self._commit(tenant, user, expect, by=by, puts=puts, deletes=deletes)
        if isinstance(outcome, Conflict):
            return None
        if user.password != stored.user.password:
            await self._throttle.unlock(tenant, user.email)
        return StoredUser(user, outcome.documents[0])

    async def _changed(self, workspace: Workspace, user: User, merged: object, by: Caller | None) -> User:
        """The user after the patch; the same object if nothing changes."""
        wanted, findings = read_input(merged, user, workspace.catalog, workspace.roles)
        if wanted is None:
            raise _invalid(findings)
        changed = _applied(user, wanted)
        if wanted.password is not None:
            password = await self._passwords.hash(wanted.password)
            changed = msgspec.structs.replace(changed, password=password, epoch=user.epoch + 1)
        if changed == user:
            return user
        return msgspec.structs.replace(changed, updated_at=to_wire(self._now()), updated_by=actor_of(by))

    async def _another_super_admin(self, tenant: str, user: User) -> Expectation:
        """Expect that another super admin stays: two must not be able to remove each other at the same time."""
        query = PageQuery(collection=USERS, sort="created_at", filters=(("rules", (True,)),), limit=2)
        for document in (await self._backend.page(tenant, query)).documents:
            if document.id != user.id:
                return DocumentAt(USERS, document.id, document.revision)
        message = "This is the last super admin who can sign in. Make another one first."
        pointer = "/disabled" if user.disabled else "/role"
        raise InvalidRecord(message, errors=[Finding(pointer, "last_super_admin", message)])

    async def _commit(
        self,
        tenant: str,
        user: User,
        expect: list[Expectation],
        *,
        by: Caller | None,
        puts: tuple[Put, ...] = (),
        deletes: tuple[Delete, ...] = (),
    ) -> Committed | Conflict:
        """Make a change durable, unless the user who makes it was disabled, or changed otherwise, in the meantime."""
        free = IndexFree(USERS, "email", comparable_address(user.email), user.id)
        maker: tuple[Expectation, ...] = ()
        if by is not None and by.kind == "user" and by.id != user.id:
            maker = (DocumentAt(USERS, by.id, by.revision),)
        now = int(self._now().timestamp())
        unit = Unit(now=now, expect=(free, *maker, *expect), puts=(user.put(), *puts), deletes=deletes)
        outcome = await commit(self._backend, tenant, unit)
        if isinstance(outcome, Conflict) and outcome.expectation in maker:
            raise StorageUnavailable(
                "Your account was changed at the same time. Send the request again.", retry_after=1
            )
        if isinstance(outcome, Conflict) and outcome.what == "index":
            message = "Another user has this email address. Enter a different one."
            raise InvalidRecord(message, errors=[Finding("/email", "taken", message)])
        return outcome


def _applied(user: User, wanted: UserInput) -> User:
    return msgspec.structs.replace(
        user,
        email=wanted.email,
        name=wanted.name,
        role=wanted.role,
        assignment=wanted.assignment,
        disabled=wanted.disabled,
        epoch=user.epoch + (wanted.disabled and not user.disabled),
    )


def _invalid(findings: list[Finding]) -> InvalidRecord:
    return InvalidRecord("The user is not valid. `errors` lists every problem.", errors=findings)


def _busy() -> StorageUnavailable:
    return StorageUnavailable("This user is being changed by others right now. Send the request again.", retry_after=1)

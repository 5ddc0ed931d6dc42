"""Commands of an operator on users."""

from __future__ import annotations

from crm_core.access.user import USERS, StoredUser
from crm_core.errors import NotFound, StorageUnavailable
from crm_core.model.caller import OPERATOR
from crm_core.plugin.query import PageQuery
from crm_core.services import Services

_PAGE = 200


async def create(services: Services, tenant: str, user: dict[str, object]) -> dict[str, object]:
    """Create a user; ``user`` has the members that the API accepts."""
    return (await services.users.create(tenant, user, None)).to_wire()


async def listed(services: Services, tenant: str) -> dict[str, object]:
    """All users by email address."""
    rows: list[dict[str, object]] = []
    query = PageQuery(collection=USERS, sort="email", limit=_PAGE)
    while True:
        users, page = await services.users.page(tenant, query)
        rows += [stored.to_wire() for stored in users]
        if page.next is None:
            return {"users": rows}
        query = PageQuery(collection=USERS, sort="email", limit=_PAGE, after=page.next)


async def passwd(services: Services, tenant: str, email: str, password: str) -> dict[str, object]:
    """Set a user's password and end all their sessions."""
    stored = await _known(services, tenant, email)
    after = await services.users.set_password(tenant, stored, password, OPERATOR)
    if after is None:
        raise StorageUnavailable("Someone else changed this user at the same time. Repeat the command.")
    return after.to_wire()


async def change(services: Services, tenant: str, email: str, patch: dict[str, object]) -> dict[str, object]:
    """Change a user by a merge patch, as the API does."""
    stored = await _known(services, tenant, email)
    return (await services.users.update(tenant, stored.user.id, patch, None)).to_wire()


async def _known(services: Services, tenant: str, email: str) -> StoredUser:
    stored = await services.users.by_email(tenant, email)
    if stored is None:
        raise NotFound(f"{tenant} has no user {email[:254]!a}; crm user list shows the users.")
    return stored


COMMANDS = {"create": create, "list": listed, "passwd": passwd, "change": change}

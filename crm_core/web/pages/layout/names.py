"""Names of those who did something: users, tokens, the platform, an operator on the machine."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core.access.user import USERS, User
from crm_core.errors import NotFound
from crm_core.language import gettext, gettext_noop
from crm_core.model.caller import Caller
from crm_core.plugin.query import PageQuery
from crm_core.services import Services

_READ: Final = 200  # users at a time
_PLATFORM, _OPERATOR = gettext_noop("The platform"), gettext_noop("An operator")
_SYSTEM, _DELETED = gettext_noop("An external system"), gettext_noop("A deleted user")
_WITHIN: Final = {
    "You": gettext_noop("you"),
    _PLATFORM: gettext_noop("the platform"),
    _OPERATOR: gettext_noop("an operator"),
    _SYSTEM: gettext_noop("an external system"),
    _DELETED: gettext_noop("a deleted user"),
}


def within(name: str) -> str:
    """A name as it is written inside a sentence: ``the platform``, but ``Ada``."""
    return next((gettext(inside) for generic, inside in _WITHIN.items() if gettext(generic) == name), name)


def user_name(user: User) -> str:
    """The name of a user, the email address of one without a name."""
    return user.name or user.email


class Names:
    """Looks up names, each once in a request."""

    def __init__(self, services: Services, tenant: str, caller: Caller) -> None:
        self._services = services
        self._tenant = tenant
        self._actors: dict[str, str] = {caller.actor: gettext("You")}
        self._colleagues: dict[str, str] = {caller.email: caller.name}

    async def actor(self, actor: str) -> str:
        """The name of the author of a change: ``You``, a colleague's or token's name, the platform, an operator."""
        if actor not in self._actors:
            self._actors[actor] = await self._find(actor)
        return self._actors[actor]

    async def colleague(self, text: str) -> str:
        """The name of the colleague with this email address; any other text unchanged."""
        if text not in self._colleagues:
            stored = await self._services.users.by_email(self._tenant, text) if "@" in text else None
            self._colleagues[text] = text if stored is None else user_name(stored.user)
        return self._colleagues[text]

    async def colleagues(self) -> list[tuple[str, str]]:
        """The email address and name of each colleague who may sign in, by name."""
        query = PageQuery(collection=USERS, sort="name", filters=(("disabled", (False,)),), limit=_READ)
        found: list[tuple[str, str]] = []
        while True:
            users, page = await self._services.users.page(self._tenant, query)
            found += [(stored.user.email, user_name(stored.user)) for stored in users]
            if page.next is None:
                return found
            query = msgspec.structs.replace(query, after=page.next)

    async def _find(self, actor: str) -> str:
        kind, _, id_ = actor.partition(":")
        if kind == "user":
            try:
                return user_name((await self._services.users.get(self._tenant, id_)).user)
            except NotFound:
                return gettext(_DELETED)
        if kind == "token":
            name = await self._services.tokens.name_of(self._tenant, id_)
            return f"{name} (API)" if name else gettext(_SYSTEM)
        return gettext(_PLATFORM if kind == "key" else _OPERATOR)

"""Names of those who did something: users, tokens, the platform, an operator on the machine."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core.access.tokens import TOKENS, ApiToken
from crm_core.errors import NotFound
from crm_core.model.caller import Caller
from crm_core.plugin.query import PageQuery
from crm_core.services import Services

PERSON_MEMBERS: Final = ("owner", "assignee")
"""Text members of records by these names hold the mail address of a colleague, or a name as it was written."""

_MOST: Final = 200
_GONE: Final = "Somebody who is gone"
_NOBODYS: Final = ("An ", "The ", "Token ", "Somebody ", "You")


def within(name: str) -> str:
    """A name inside a sentence: what is no one's own name begins small there."""
    return name[0].lower() + name[1:] if name.startswith(_NOBODYS) else name


class Names:
    """Looks names up, each once in a request."""

    def __init__(self, services: Services, tenant: str, caller: Caller) -> None:
        self._services = services
        self._tenant = tenant
        self._caller = caller
        self._actors: dict[str, str] = {caller.actor: "You"}
        self._addresses: dict[str, str] = {caller.email: caller.name}

    async def actor(self, actor: str) -> str:
        """The name of who wrote a record or made a push: ``You``, a colleague's name, a token's, the platform."""
        if actor not in self._actors:
            self._actors[actor] = await self._found(actor)
        return self._actors[actor]

    async def colleague(self, text: str) -> str:
        """The name of the colleague with this mail address; other text as it is."""
        if text not in self._addresses:
            held = await self._services.users.by_email(self._tenant, text) if "@" in text else None
            self._addresses[text] = text if held is None else held.user.name or held.user.email
        return self._addresses[text]

    async def colleague_emails(self) -> list[str]:
        """The mail addresses of the colleagues, to choose from."""
        query = PageQuery(collection="users", sort="name", filters=(("disabled", False),), limit=_MOST)
        users, _ = await self._services.users.page(self._tenant, query)
        return [held.user.email for held in users]

    async def _found(self, actor: str) -> str:
        kind, _, name = actor.partition(":")
        if kind == "user":
            try:
                user = (await self._services.users.get(self._tenant, name)).user
            except NotFound:
                return _GONE
            return user.name or user.email
        if kind == "token":
            document = (await self._services.backend.get(self._tenant, TOKENS, name)).document
            token = None if document is None else msgspec.json.decode(document.body, type=ApiToken)
            return f"Token {token.name}" if token and token.name else "An external system"
        return "The platform" if kind == "key" else "An operator"

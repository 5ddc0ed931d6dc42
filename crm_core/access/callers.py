"""Identifies the caller of a request by an API token or an access token."""

from __future__ import annotations

from crm_core.access.sessions import Sessions
from crm_core.access.tokens import PREFIX, Tokens
from crm_core.model.caller import Caller


class Callers:
    """Identifies callers, and looks them up again later."""

    def __init__(self, tokens: Tokens, sessions: Sessions) -> None:
        self._tokens = tokens
        self._sessions = sessions

    async def bearer(self, tenant: str, text: str) -> Caller:
        """The owner of an API token or an access token. Raises Unauthenticated."""
        if text.startswith(PREFIX):
            return await self._tokens.caller(tenant, text)
        return await self._sessions.by_access_token(tenant, text)

    async def current(self, tenant: str, caller: Caller) -> Caller:
        """The caller with their current rights. Raises Unauthenticated if the credential is no longer valid."""
        if caller.session is None:
            return await self._tokens.current(tenant, caller.id)
        return await self._sessions.caller(tenant, caller.session)

"""Commands on API tokens."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from crm_core.access.token import CreatedToken
from crm_core.services import Services


async def create(
    services: Services, tenant: str, scopes: list[str], name: str, expires_in: int | None
) -> dict[str, object]:
    """Create a token and return its text, once; ``expires_in`` in seconds, None: never."""
    expires_at = None if expires_in is None else services.now() + timedelta(seconds=expires_in)
    text, token = await services.tokens.create(tenant, scopes=scopes, by=None, name=name, expires_at=expires_at)
    made: dict[str, object] = msgspec.to_builtins(CreatedToken.of(text, token))
    return made


async def listed(services: Services, tenant: str) -> dict[str, object]:
    """All tokens, without their texts."""
    return {"tokens": msgspec.to_builtins(await services.tokens.overview(tenant))}


async def revoke(services: Services, tenant: str, token_id: str) -> dict[str, object]:
    """Revoke a token."""
    token = await services.tokens.revoke(tenant, token_id, by=None)
    return {"id": token.id, "revoked_at": token.revoked_at}


COMMANDS = {"create": create, "list": listed, "revoke": revoke}

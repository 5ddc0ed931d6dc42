"""The routes of API tokens: list, create, revoke, for users with ``users.manage``."""

from __future__ import annotations

from typing import Any, Final

from crm_core import errors
from crm_core.access.token import CreatedToken, TokenInput, TokenList
from crm_core.model.times import from_input
from crm_core.services import Services
from crm_core.web.answers import Answer, answer, empty
from crm_core.web.api.parameters import UUID
from crm_core.web.api.users import MANAGE
from crm_core.web.operations import BASE, Body, Operation, Reply, Route
from crm_core.web.reading import read_json, value_as
from crm_core.web.request import Request

_TAG: Final = "tokens"
LIST: Final = Operation(
    method="GET",
    path=f"{BASE}/tokens",
    name="list_tokens",
    summary="List API tokens.",
    description="All of them, ended ones too, the oldest first, without their texts.",
    tag=_TAG,
    key=MANAGE,
    replies={200: Reply(description="The tokens.", schema=TokenList)},
)
CREATE: Final = Operation(
    method="POST",
    path=f"{BASE}/tokens",
    name="create_token",
    summary="Create an API token.",
    description=(
        "The answer is the only place that shows the token. A scope for a core key that the caller lacks (`sync:*`, "
        "`{record_type}:erase`) is 403 `permission_denied`."
    ),
    tag=_TAG,
    key=MANAGE,
    body=Body(schema=TokenInput, limit=16 * 1024, example={"name": "ERP", "scopes": ["customers:read"]}),
    replies={201: Reply(description="The token.", schema=CreatedToken)},
    errors=(errors.InvalidRecord, errors.LimitReached, errors.StorageFull),
)
REVOKE: Final = Operation(
    method="DELETE",
    path=f"{BASE}/tokens/{{id}}",
    name="revoke_token",
    summary="Revoke an API token.",
    description="It ends immediately, its event streams too. Only a caller who could create it revokes it.",
    path_schemas={"id": UUID},
    tag=_TAG,
    key=MANAGE,
    replies={204: Reply(description="Revoked, or revoked before.")},
    errors=(errors.NotFound, errors.StorageFull),
)


def routes(services: Services) -> list[Route]:
    """Every operation of tokens."""
    tokens = services.tokens

    async def listed(request: Request) -> Answer:
        return answer({"items": await tokens.overview(request.tenant)})

    async def create(request: Request) -> Answer:
        data = await read_json(request)
        await tokens.require_may_give(request.tenant, _named_scopes(data), request.caller)
        sent = value_as(data, TokenInput)
        text, token = await tokens.create(
            request.tenant,
            scopes=sent.scopes,
            by=request.caller,
            name=sent.name or "",
            expires_at=None if sent.expires_at is None else from_input(sent.expires_at),
        )
        return answer(CreatedToken.of(text, token), 201)

    async def revoke(request: Request) -> Answer:
        await tokens.revoke(request.tenant, request.path_parameters["id"], by=request.caller)
        return empty(204, {"Cache-Control": "no-store"})

    return [Route(LIST, listed), Route(CREATE, create), Route(REVOKE, revoke)]


def _named_scopes(data: Any) -> list[str]:
    """The scopes that input names, well-formed or not: a refused caller learns nothing about the rest."""
    scopes = data.get("scopes") if isinstance(data, dict) else None
    return [each for each in scopes if isinstance(each, str)] if isinstance(scopes, list) else []

"""The routes by which custom apps sign users in: login, refresh, logout."""

from __future__ import annotations

from crm_core.errors import InsufficientScope
from crm_core.services import Services
from crm_core.web.answers import Answer, answer, empty
from crm_core.web.api import auth_schemas as schemas
from crm_core.web.callers import ended_session_cookie
from crm_core.web.operations import Route
from crm_core.web.reading import read_body_as
from crm_core.web.request import Request


def routes(services: Services) -> list[Route]:
    """Every operation of signing in."""

    async def login(request: Request) -> Answer:
        sent = await read_body_as(request, schemas.Credentials)
        session = await services.signin.sign_in(
            request.tenant, sent.email, sent.password, source=request.source, kind="api"
        )
        return answer(services.sessions.grant(request.tenant, session))

    async def refresh(request: Request) -> Answer:
        sent = await read_body_as(request, schemas.RefreshRequest)
        return answer(await services.sessions.refresh(request.tenant, sent.refresh_token))

    async def logout(request: Request) -> Answer:
        if request.caller.session is None:
            raise InsufficientScope("Tokens do not sign out; crm token revoke ends one.")
        await services.sessions.end(request.tenant, request.caller.session)
        cookie = ended_session_cookie(services, request, request.tenant)
        return empty(204, {"Cache-Control": "no-store", "Set-Cookie": cookie})

    return [Route(schemas.LOGIN, login), Route(schemas.REFRESH, refresh), Route(schemas.LOGOUT, logout)]

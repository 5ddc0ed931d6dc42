"""The routes by which custom apps sign users in: login, refresh, logout."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from crm_core import errors
from crm_core.access.sessions import Grant
from crm_core.services import Services
from crm_core.web.answers import Answer, answer, empty
from crm_core.web.callers import ended_session_cookie
from crm_core.web.operations import BASE, Body, Operation, Reply, Route
from crm_core.web.reading import read_body_as
from crm_core.web.request import Request

_LIMIT: Final = 16 * 1024


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's email address and password."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Annotated[str, msgspec.Meta(max_length=1024)]


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token that has not been used yet."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=4096)]


_ERRORS: Final = (errors.InvalidRecord, errors.StorageFull)

LOGIN: Final = Operation(
    method="POST",
    path=f"{BASE}/auth/login",
    name="login",
    summary="Sign in.",
    description=(
        "Returns an access token and a refresh token. Every refusal looks the same and takes the same time. After too "
        "many failures, the account and the source address have to wait."
    ),
    tag="auth",
    open_to_all=True,
    body=Body(
        schema=Credentials, limit=_LIMIT, example={"email": "ada@example.com", "password": "correct horse battery"}
    ),
    replies={200: Reply(description="Signed in.", schema=Grant)},
    errors=(*_ERRORS, errors.InvalidCredentials, errors.LoginThrottled),
)
REFRESH: Final = Operation(
    method="POST",
    path=f"{BASE}/auth/refresh",
    name="refresh",
    summary="Get the next access token.",
    description="A refresh token works once. Sending it a second time ends the sign-in.",
    tag="auth",
    open_to_all=True,
    body=Body(schema=RefreshRequest, limit=_LIMIT, example={"refresh_token": "..."}),
    replies={200: Reply(description="The next tokens.", schema=Grant)},
    errors=(*_ERRORS, errors.Unauthenticated, errors.TokenReused),
)
LOGOUT: Final = Operation(
    method="POST",
    path=f"{BASE}/auth/logout",
    name="logout",
    summary="Sign out.",
    description="The tokens and the cookie of this sign-in end immediately, and so do its event streams.",
    tag="auth",
    key="any",
    replies={204: Reply(description="Signed out.")},
    errors=(errors.StorageFull,),
)


def routes(services: Services) -> list[Route]:
    """Every operation of signing in."""

    async def login(request: Request) -> Answer:
        sent = await read_body_as(request, Credentials)
        session = await services.signin.sign_in(
            request.tenant, sent.email, sent.password, source=request.source, kind="api"
        )
        return answer(services.sessions.grant(request.tenant, session))

    async def refresh(request: Request) -> Answer:
        sent = await read_body_as(request, RefreshRequest)
        return answer(await services.sessions.refresh(request.tenant, sent.refresh_token))

    async def logout(request: Request) -> Answer:
        if request.caller.session is None:
            raise errors.InsufficientScope("Tokens do not sign out; crm token revoke ends one.")
        await services.sessions.end(request.tenant, request.caller.session)
        cookie = ended_session_cookie(services, request, request.tenant)
        return empty(204, {"Cache-Control": "no-store", "Set-Cookie": cookie})

    return [Route(LOGIN, login), Route(REFRESH, refresh), Route(LOGOUT, logout)]

"""The routes by which custom apps sign users in: login, refresh, logout."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from quart import Response

from crm_core.access.sessions import Grant
from crm_core.errors import (
    CsrfFailed,
    InsufficientScope,
    InvalidCredentials,
    InvalidRecord,
    LoginThrottled,
    MalformedJson,
    PayloadTooLarge,
    StorageFull,
    StorageUnavailable,
    TokenReused,
    Unauthenticated,
    UnsupportedMediaType,
)
from crm_core.model.fields import convert
from crm_core.services import Services
from crm_core.web.answers import answer
from crm_core.web.callers import caller_of, forget_sign_in
from crm_core.web.exchange import exchange
from crm_core.web.operations import BASE, Body, Operation, Reply
from crm_core.web.reading import parameters, read_json

T = TypeVar("T")
_LIMIT: Final = 16 * 1024
_BODY_ERRORS: Final = (MalformedJson, UnsupportedMediaType, PayloadTooLarge, InvalidRecord)
_STORE_ERRORS: Final = (StorageUnavailable, StorageFull)


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user signs in with."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Annotated[str, msgspec.Meta(max_length=1024)]


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token that has not been used yet."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=4096)]


def operations(services: Services) -> list[Operation]:
    """Every operation of signing in."""

    async def login(tenant: str) -> Response:
        parameters(())
        sent = _as(await read_json(_LIMIT), Credentials)
        source = exchange().source
        session = await services.signin.sign_in(tenant, sent.email, sent.password, source=source, kind="api")
        return answer(services.sessions.grant(tenant, session))

    async def refresh(tenant: str) -> Response:
        parameters(())
        sent = _as(await read_json(_LIMIT), RefreshRequest)
        return answer(await services.sessions.refresh(tenant, sent.refresh_token))

    async def logout(tenant: str) -> Response:
        parameters(())
        caller = await caller_of(services, tenant)
        if caller.session is None:
            raise InsufficientScope("Tokens do not sign out; crm token revoke ends one.")
        await services.sessions.end(tenant, caller.session)
        made = Response(b"", 204)
        del made.headers["Content-Type"]
        made.headers["Cache-Control"] = "no-store"
        forget_sign_in(made, services, tenant)
        return made

    return [
        Operation(
            method="POST",
            path=f"{BASE}/auth/login",
            name="login",
            summary="Sign in",
            description="Access token and refresh token for a user. Every refusal looks the same and takes the same "
            "time; too many failures of an account or from a source have to wait.",
            tag="auth",
            handler=login,
            open_to_all=True,
            body=Body(schema=Credentials, example={"email": "ada@example.com", "password": "correct horse battery"}),
            replies={200: Reply(description="Signed in.", schema=Grant)},
            errors=(*_BODY_ERRORS, InvalidCredentials, LoginThrottled, *_STORE_ERRORS),
        ),
        Operation(
            method="POST",
            path=f"{BASE}/auth/refresh",
            name="refresh",
            summary="Get the next access token",
            description="The refresh token sent is used up by this. One that comes a second time ends the sign-in.",
            tag="auth",
            handler=refresh,
            open_to_all=True,
            body=Body(schema=RefreshRequest, example={"refresh_token": "..."}),
            replies={200: Reply(description="The next tokens.", schema=Grant)},
            errors=(*_BODY_ERRORS, Unauthenticated, TokenReused, *_STORE_ERRORS),
        ),
        Operation(
            method="POST",
            path=f"{BASE}/auth/logout",
            name="logout",
            summary="Sign out",
            description="Access token, refresh token and cookie of this sign-in end at once, open event streams too.",
            tag="auth",
            handler=logout,
            scope=None,
            key="any",
            replies={204: Reply(description="Signed out.")},
            errors=(Unauthenticated, CsrfFailed, InsufficientScope, *_STORE_ERRORS),
        ),
    ]


def _as(data: Any, kind: type[T]) -> T:
    found, findings = convert(data, kind)
    if found is None:
        raise InvalidRecord("The body does not fit; every error is listed.", errors=findings)
    made: T = found
    return made

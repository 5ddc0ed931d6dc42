"""The documented operations of signing in, and their bodies."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from crm_core import errors
from crm_core.access.sessions import Grant
from crm_core.web.operations import BASE, Body, Operation, Reply

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

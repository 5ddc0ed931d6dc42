"""The routes by which custom apps sign users in: login, refresh, logout."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from quart import Response

from crm_core.errors import InsufficientScope, InvalidRecord
from crm_core.model.fields import convert
from crm_core.services import Services
from crm_core.web.answers import answer
from crm_core.web.api import auth_schemas as schemas
from crm_core.web.callers import caller_of, forget_sign_in
from crm_core.web.exchange import exchange
from crm_core.web.operations import BASE, Operation
from crm_core.web.reading import parameters, read_json

T = TypeVar("T")
_LIMIT: Final = 16 * 1024


def operations(services: Services) -> list[Operation]:
    """Every operation of signing in."""

    async def login(tenant: str) -> Response:
        parameters(())
        sent = _as(await read_json(_LIMIT), schemas.Credentials)
        source = exchange().source
        session = await services.signin.sign_in(tenant, sent.email, sent.password, source=source, kind="api")
        return answer(services.sessions.grant(tenant, session))

    async def refresh(tenant: str) -> Response:
        parameters(())
        sent = _as(await read_json(_LIMIT), schemas.RefreshRequest)
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
        Operation(method="POST", path=f"{BASE}/auth/login", handler=login, **schemas.LOGIN),
        Operation(method="POST", path=f"{BASE}/auth/refresh", handler=refresh, **schemas.REFRESH),
        Operation(method="POST", path=f"{BASE}/auth/logout", handler=logout, **schemas.LOGOUT),
    ]


def _as(data: Any, kind: type[T]) -> T:
    found, findings = convert(data, kind)
    if found is None:
        raise InvalidRecord("The body does not fit; every error is listed.", errors=findings)
    made: T = found
    return made

"""From a request to its sender: by a bearer credential, or by a cookie if the request comes from our own page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from crm_core.access.sessions import BROWSER_LIFETIME, Session
from crm_core.errors import CsrfFailed, StorageUnavailable, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.services import Services
from crm_core.web.request import Request

COOKIE: Final = "crm_session"
CSRF_HEADER: Final = "X-CSRF-Token"
_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_PROMPT: Final = timedelta(seconds=1)
_REFUSAL: Final = (
    "Send a credential of this tenant: Authorization: Bearer crm_... (crm token create prints a new token)."
)


async def caller_of(services: Services, request: Request, tenant: str) -> Caller:
    """Who sent a request to the API; an Authorization header counts more than a cookie.

    Raises:
        Unauthenticated: without a valid credential.
        CsrfFailed: for a cookie with a method other than GET that is not confirmed.
    """
    sent = request.fields(b"authorization")
    if not sent:
        caller = await visitor(services, request, tenant)
        if request.method not in _SAFE_METHODS:
            require_confirmed(services, request, tenant, caller, request.field(CSRF_HEADER.lower().encode()))
        return caller
    scheme, _, text = sent[0].partition(" ")
    if len(sent) > 1 or scheme.lower() != "bearer":
        raise Unauthenticated(_REFUSAL)
    try:
        return await services.callers.bearer(tenant, text.strip(" "))
    except Unauthenticated as error:
        raise Unauthenticated(error.detail, rejected=True) from None


async def require_unchanged(services: Services, request: Request, tenant: str, caller: Caller) -> None:
    """Refuse a request whose sender signed out, or got other rights, while its body came.

    Raises Unauthenticated, StorageUnavailable.
    """
    if services.now() - request.received_at < _PROMPT:
        return
    if (await services.callers.current(tenant, caller)).revision != caller.revision:
        raise StorageUnavailable("Your account was changed at the same time. Send the request again.", retry_after=1)


async def body_of(services: Services, request: Request, tenant: str, caller: Caller) -> AsyncIterator[bytes]:
    """The parts of a body that comes late. Raises as ``require_unchanged`` at its end."""
    async for part in request.chunks():
        yield part
    await require_unchanged(services, request, tenant, caller)


async def visitor(services: Services, request: Request, tenant: str) -> Caller:
    """The user whose browser sent the request, by its cookie alone. Raises Unauthenticated."""
    text = request.cookie(COOKIE)
    if not text:
        raise Unauthenticated(_REFUSAL)
    return await services.sessions.by_cookie(tenant, text)


def require_confirmed(
    services: Services, request: Request, tenant: str, caller: Caller, confirmation: str | None
) -> None:
    """Raise CsrfFailed unless the request comes from our own page: a same-origin Origin and a CSRF token."""
    if not is_same_origin(services, request):
        raise CsrfFailed("The Origin header must name this very site; a page of another site may not do this.")
    if not services.sessions.is_csrf_token(tenant, caller.session or "", confirmation or ""):
        raise CsrfFailed(f"The {CSRF_HEADER} header must contain the token of this sign-in. Reload the page.")


def is_same_origin(services: Services, request: Request) -> bool:
    """Whether a page of this very site sent the request.

    ``public_url`` is the operator's word for what browsers call us; what the request itself says is wrong behind a
    proxy that ends TLS without being listed as trusted, or that changes the Host.
    """
    origin = request.field(b"origin")
    return origin is not None and origin in (request.origin, services.settings.public_url)


def session_cookie(services: Services, request: Request, tenant: str, session: Session) -> str:
    """The Set-Cookie field that signs a browser in."""
    text, seconds = services.sessions.cookie(tenant, session), int(BROWSER_LIFETIME.total_seconds())
    return f"{COOKIE}={text}; Max-Age={seconds}; {_place(services, request, tenant)}"


def ended_session_cookie(services: Services, request: Request, tenant: str) -> str:
    """The Set-Cookie field that removes the cookie from the browser."""
    return f"{COOKIE}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; {_place(services, request, tenant)}"


def lasting_origin(services: Services, request: Request) -> str | None:
    """The origin for links that someone else will follow; None if no trusted origin is known.

    The Host header is the sender's word. Were it believed, anyone could have an email with a valid password link sent
    to a user that leads to their own site, and take the account over when it is followed.
    """
    if services.settings.public_url is not None:
        return services.settings.public_url
    return request.origin if _LOOPBACK.fullmatch(request.field(b"host") or "") else None


def _place(services: Services, request: Request, tenant: str) -> str:
    secure = "Secure; " if request.scheme == "https" else ""
    return f"{secure}HttpOnly; Path=/i/{services.settings.instance}/t/{tenant}; SameSite=Lax"

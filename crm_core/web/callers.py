"""From a request to the one who sent it: a bearer credential, or the cookie of a browser that shows it means it."""

from __future__ import annotations

import re
from typing import Any, Final

from quart import Response, request

from crm_core.access.sessions import BROWSER_LIFETIME, Session
from crm_core.errors import CsrfFailed, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.model.sources import within
from crm_core.server.source import peer_of
from crm_core.services import Services

COOKIE: Final = "crm_session"
CSRF_HEADER: Final = "X-CSRF-Token"
_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_REFUSAL: Final = "Send a credential that is good here: Authorization: Bearer crm_... (crm token create makes one)."


async def caller_of(services: Services, tenant: str) -> Caller:
    """Who sent the request at hand to the API; an Authorization header counts more than a cookie.

    Raises Unauthenticated; CsrfFailed for a cookie with a method other than GET that is not confirmed.
    """
    sent = request.headers.getlist("Authorization")
    if not sent:
        caller = await visitor(services, tenant)
        if request.method not in _SAFE_METHODS:
            require_confirmed(services, tenant, caller, request.headers.get(CSRF_HEADER))
        return caller
    scheme, _, text = sent[0].partition(" ")
    if len(sent) > 1 or scheme.lower() != "bearer":
        raise Unauthenticated(_REFUSAL)
    return await services.callers.bearer(tenant, text.strip(" "))


async def visitor(services: Services, tenant: str) -> Caller:
    """The user whose browser sent the request, by its cookie alone. Raises Unauthenticated."""
    text = request.cookies.get(COOKIE)
    if not text:
        raise Unauthenticated(_REFUSAL)
    return await services.sessions.by_cookie(tenant, text)


def require_confirmed(services: Services, tenant: str, caller: Caller, confirmation: str | None) -> None:
    """Raise CsrfFailed unless the request comes from a page of ours: a same-origin Origin and a CSRF token."""
    if request.headers.get("Origin") != own_origin(services):
        raise CsrfFailed("The Origin header must name this very site; a page of another site may not do this.")
    if not services.sessions.is_csrf_token(tenant, caller.session or "", confirmation or ""):
        raise CsrfFailed(f"The {CSRF_HEADER} header must hold the token of this sign-in; load the page anew.")


def keep_signed_in(response: Response, services: Services, tenant: str, session: Session) -> None:
    """Give the browser the cookie of a session."""
    text = services.sessions.cookie(tenant, session)
    response.set_cookie(COOKIE, text, max_age=int(BROWSER_LIFETIME.total_seconds()), **_place(services, tenant))


def forget_sign_in(response: Response, services: Services, tenant: str) -> None:
    """Take the cookie away from the browser."""
    response.delete_cookie(COOKIE, **_place(services, tenant))


def own_origin(services: Services) -> str:
    """The origin by which the browser knows us (RFC 6454)."""
    return f"{_scheme(services)}://{request.headers.get('Host', '')}"


def lasting_origin(services: Services) -> str | None:
    """The origin for links that somebody else will follow; None where nobody can vouch for one.

    The Host header is the sender's word. Were it believed, anybody could have a letter with a good password link sent
    to a user that leads to a site of their own, and take the account over when it is followed.
    """
    if services.settings.public_url is not None:
        return services.settings.public_url
    return own_origin(services) if _LOOPBACK.fullmatch(request.headers.get("Host", "")) else None


def _place(services: Services, tenant: str) -> dict[str, Any]:
    return {
        "path": f"/i/{services.settings.instance}/t/{tenant}",
        "httponly": True,
        "samesite": "Lax",
        "secure": _scheme(services) == "https",
    }


def _scheme(services: Services) -> str:
    """How the client came: what a trusted proxy says of it, else how it came here."""
    told = request.headers.get("X-Forwarded-Proto")
    if told in ("http", "https") and within(peer_of(request.scope), services.settings.trusted_proxies):
        return told
    return str(request.scheme)

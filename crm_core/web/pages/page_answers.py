"""Responses to a signed-in user: a page of the workspace, or a redirect with a confirmation."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Final

import msgspec

from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import Confirmation, PageFrame, PageParts, Undo
from crm_core.web.pages.layout.rendering import PageView, see_other
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.page_frame import frame_of

_COOKIE: Final = "crm_said"
_LIFETIME: Final = timedelta(minutes=1)


async def page(context: PageContext, current: str, view: PageView, status: int = 200) -> Response:
    """A page of the workspace; ``current`` names the menu item it belongs to."""
    confirmation = _confirmation(context)
    frame = PageFrame(context.root, confirmation)
    parts = PageParts(*context.site.renderer.cut(view.template, frame=frame, view=view.values))
    return await _framed(context, current, parts, confirmation, status)


async def page_of_parts(context: PageContext, current: str, parts: PageParts) -> Response:
    """The page of parts that are HTML already."""
    return await _framed(context, current, parts, _confirmation(context), 200)


async def _framed(
    context: PageContext, current: str, parts: PageParts, confirmation: Confirmation | None, status: int
) -> Response:
    renderer, session = context.site.renderer, context.caller.session
    assert session is not None
    frame = await frame_of(context, current)
    toast = renderer.parts.toast(confirmation) if confirmation else ""
    csrf = context.services.sessions.csrf_token(context.tenant, session)
    response = renderer.response(frame.around(parts, toast), csrf, status)
    if confirmation is not None:
        response.delete_cookie(_COOKIE, path=context.root)
    return response


def redirect(
    context: PageContext, path: str, confirmation: str | None = None, undo: Undo | None = None, follow: str = ""
) -> Response:
    """Send the browser to a page, which then shows the confirmation; ``follow``: the form of the next task."""
    target = path if path.startswith(f"{context.root}/") else context.root + path
    response = see_other(target if target.isprintable() else f"{context.root}/")  # a header has one line
    if confirmation is not None:
        content = msgspec.json.encode(Confirmation(text=confirmation, undo=undo, follow=follow)).decode()
        signed = context.services.signed.make("said", context.tenant, content, lifetime=_LIFETIME)
        context.set_cookie(response, _COOKIE, signed, int(_LIFETIME.total_seconds()))
    return response


def _confirmation(context: PageContext) -> Confirmation | None:
    sent = request.sent.cookie(_COOKIE)
    parts = context.services.signed.read("said", sent) if sent else None
    if parts is None or parts[0] != context.tenant:
        return None
    with suppress(msgspec.DecodeError):  # an earlier version's is no JSON
        return msgspec.json.decode(parts[1], type=Confirmation)
    return None

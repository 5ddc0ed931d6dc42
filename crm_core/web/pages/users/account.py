"""The user's own page: name and role, appearance, password, and what the user may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from quart import Response, request

from crm_core.errors import InvalidCredentials, InvalidRecord, LoginThrottled, RevisionMismatch
from crm_core.web.callers import session_cookie
from crm_core.web.framework import current_request
from crm_core.web.pages.layout.frame import SCHEME, SCHEMES
from crm_core.web.pages.layout.parts import Option, PageNotice, failure
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import Field
from crm_core.web.pages.records.modules import action_label, as_phrase
from crm_core.web.pages.users.signing_in import MISMATCH, first_message, new_password_fields, password_field

_YEAR: Final = 365 * 24 * 3600
_CHOICES: Final = (Option("system", "Same as system"), Option("light", "Light"), Option("dark", "Dark"))


class Rights(msgspec.Struct, frozen=True):
    """The actions that the user may perform in a module."""

    title: str
    actions: str


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """The account page."""

    sub: str
    name: str
    email: str
    role: str
    notice: PageNotice | None
    schemes: tuple[Option, ...]
    scheme: str
    fields: tuple[Field, ...]
    rights: tuple[Rights, ...]


async def account(context: PageContext) -> Response:
    """The user's own account."""
    return await page(context, "account.html", "account", _view(context))


async def appearance(context: PageContext) -> Response:
    """Store the color scheme in a cookie of this browser."""
    chosen = (await request.form).get("scheme", "")
    response = redirect(context, "/account", "Appearance changed")
    secure = current_request().scheme == "https"
    value = chosen if chosen in SCHEMES else "system"
    response.set_cookie(SCHEME, value, max_age=_YEAR, path=context.root, httponly=True, samesite="Lax", secure=secure)
    return response


async def change_password(context: PageContext) -> Response:
    """Change the password, end every session of the user, and open a new one for this browser."""
    form = await request.form
    old, new, source = form.get("old", ""), form.get("password", ""), current_request().source
    if new != form.get("again", ""):
        return await _refused(context, {"again": MISMATCH})
    try:
        stored = await context.services.signin.change_password(context.tenant, context.caller, old, new, source=source)
    except InvalidCredentials as error:
        return await _refused(context, {"old": error.detail})
    except (InvalidRecord, LoginThrottled, RevisionMismatch) as error:
        return await _refused(context, {"password": first_message(error)})
    session = await context.services.sessions.open(context.tenant, stored, "browser")
    response = redirect(context, "/account", "Password changed. You are signed out everywhere else.")
    response.headers.add("Set-Cookie", session_cookie(context.services, current_request(), context.tenant, session))
    return response


async def _refused(context: PageContext, errors: dict[str, str]) -> Response:
    notice = failure("The password was not changed.", "See the form.")
    return await page(context, "account.html", "account", _view(context, notice, errors), 422)


def _view(context: PageContext, notice: PageNotice | None = None, errors: dict[str, str] | None = None) -> AccountView:
    caller, errors = context.caller, errors or {}
    role = context.workspace.roles.get(caller.role)
    chosen = request.cookies.get(SCHEME, "")
    return AccountView(
        sub="You, in this workspace",
        name=caller.name,
        email=caller.email,
        role=role.title if role else "No role",
        notice=notice,
        schemes=_CHOICES,
        scheme=chosen if chosen in SCHEMES else "system",
        fields=(
            password_field("old", "Current password", auto="current-password", error=errors.get("old", "")),
            *new_password_fields(errors.get("password", ""), errors.get("again", "")),
        ),
        rights=tuple(_rights(context)),
    )


def _rights(context: PageContext) -> Iterator[Rights]:
    for state in context.workspace.modules.states.values():
        actions = [action_label(key) for key in state.module.features if key in context.keys]
        if actions:
            yield Rights(state.title, as_phrase(actions))
    core = sorted(context.workspace.roles.core_keys & context.keys)
    if core:
        yield Rights("Administration", as_phrase([_CORE.get(key, key) for key in core]))


_CORE: Final = {
    "records.erase": "Erase records",
    "sync.restore": "Restore revisions",
    "sync.view": "See the sync console",
    "smtp.test": "Send test emails",
    "users.manage": "Manage users",
}

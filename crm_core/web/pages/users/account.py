"""The user's own page: name and role, appearance, password, and what the user may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crm_core.errors import InvalidCredentials, InvalidRecord, LoginThrottled, RevisionMismatch
from crm_core.language import gettext, gettext_noop, label_of, localized
from crm_core.web.callers import session_cookie
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import SCHEME, SCHEMES, title_of
from crm_core.web.pages.layout.labels import as_phrase
from crm_core.web.pages.layout.parts import Fact, Option, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import action_label, right_name
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import Field
from crm_core.web.pages.tenant_context import set_language_for
from crm_core.web.pages.users.signing_in import MISMATCH, first_message, new_password_fields, password_field

_YEAR: Final = 365 * 24 * 3600
_CHOICES: Final = (
    Option("system", gettext_noop("Same as system")),
    Option("light", gettext_noop("Light")),
    Option("dark", gettext_noop("Dark")),
)


async def account(context: PageContext) -> Response:
    """The user's own account."""
    return await page(context, "account", _view(context))


async def appearance(context: PageContext) -> Response:
    """Store the color scheme in a cookie of this browser."""
    chosen = (await request.form).get("scheme", "")
    response = redirect(context, "/account", gettext("Appearance changed"))
    context.set_cookie(response, SCHEME, chosen if chosen in SCHEMES else "system", _YEAR)
    return response


async def choose_language(context: PageContext) -> Response:
    """Set the language of the user's pages and emails."""
    languages = context.services.languages.by_tag
    chosen = languages.get((await request.form).get("language", ""))
    await context.services.users.choose_language(context.tenant, context.caller, chosen.tag if chosen else None)
    set_language_for(context.site, context.workspace, chosen.tag if chosen else None)
    return redirect(context, "/account", gettext("Language changed"))


async def change_password(context: PageContext) -> Response:
    """Change the password, end every session of the user, and open a new one for this browser."""
    form = await request.form
    old, new, source = form.get("old", ""), form.get("password", ""), request.sent.source
    if new != form.get("again", ""):
        return await _refused(context, {"again": gettext(MISMATCH)})
    try:
        stored = await context.services.signin.change_password(context.tenant, context.caller, old, new, source=source)
    except InvalidCredentials as error:
        return await _refused(context, {"old": localized(error.detail)})
    except (InvalidRecord, LoginThrottled, RevisionMismatch) as error:
        return await _refused(context, {"password": first_message(error)})
    session = await context.services.sessions.open(context.tenant, stored, "browser")
    response = redirect(context, "/account", gettext("Password changed. You are signed out everywhere else."))
    response.headers.add("Set-Cookie", session_cookie(context.services, request.sent, context.tenant, session))
    return response


async def _refused(context: PageContext, errors: dict[str, str]) -> Response:
    notice = failure(gettext("The password was not changed."), gettext("See the form."))
    return await page(context, "account", _view(context, notice, errors), 422)


def _view(context: PageContext, notice: PageNotice | None = None, errors: dict[str, str] | None = None) -> PageView:
    caller, errors = context.caller, errors or {}
    role = context.workspace.roles.get(caller.role)
    chosen = request.cookies.get(SCHEME, "")
    return PageView(
        "account.html",
        name=caller.name,
        email=caller.email,
        role=label_of(role.title) if role else gettext("No role"),
        notice=notice,
        schemes=tuple(Option(one.value, gettext(one.text)) for one in _CHOICES),
        scheme=chosen if chosen in SCHEMES else "system",
        language=_language_field(context),
        fields=(
            password_field("old", gettext("Current password"), auto="current-password", error=errors.get("old", "")),
            *new_password_fields(errors.get("password", ""), errors.get("again", "")),
        ),
        rights=tuple(_rights(context)),
    )


def _language_field(context: PageContext) -> Field:
    languages = context.services.languages
    usual = context.site.language_of(context.workspace)
    options = [Option("", gettext("Workspace's language ({language})", language=usual.name))]
    options += [Option(tag, language.name) for tag, language in languages.by_tag.items()]
    value = context.caller.language if context.caller.language in languages.by_tag else ""
    return Field(name="language", label=gettext("Language"), kind="select", value=value or "", options=tuple(options))


def _rights(context: PageContext) -> Iterator[Fact]:
    for state in context.workspace.modules.states.values():
        actions = [action_label(key) for key in state.module.features if key in context.keys]
        if actions:
            yield Fact(title_of(state), as_phrase(actions, str.lower))
    core = sorted(context.workspace.roles.core_keys & context.keys)
    if core:
        yield Fact(gettext("Administration"), as_phrase([right_name(context.workspace, key) for key in core]))

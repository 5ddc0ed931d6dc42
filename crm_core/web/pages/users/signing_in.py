"""Signing in and out, and password links: pages for visitors who are not signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crm_core.access.passwords import MAX_LENGTH, MIN_LENGTH
from crm_core.access.signin import RESET
from crm_core.access.user import StoredUser
from crm_core.errors import CrmError, InvalidCredentials, InvalidRecord, LoginThrottled, Unauthenticated
from crm_core.language import gettext, gettext_noop, localized, set_language
from crm_core.mail import password_reset
from crm_core.server.paths import refused
from crm_core.server_log import ServerLog
from crm_core.web.callers import ended_session_cookie, session_cookie, visitor
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.names import user_name
from crm_core.web.pages.layout.parts import PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView, see_other
from crm_core.web.pages.mail.sender import EmailSender, sender_of
from crm_core.web.pages.page_answers import redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import Field

_log = ServerLog("crm.mail")
RESET_HOURS: Final = int(RESET.total_seconds() // 3600)
MISMATCH: Final = gettext_noop("The passwords do not match. Enter the new password twice.")
_NOTICES: Final[Mapping[str, tuple[str, str]]] = {
    "out": (gettext_noop("You are signed out."), ""),
    "ended": (gettext_noop("You are signed out."), gettext_noop("Nothing was changed. Sign in, then try again.")),
    "password": (gettext_noop("The password is set."), gettext_noop("Sign in with it.")),
}


async def login_page(context: AnonymousContext) -> Response:
    """The sign-in form; signed-in users are sent to the dashboard."""
    try:
        await visitor(context.services, request.sent, context.tenant)
    except Unauthenticated:
        said = request.args.get("said", "")
        title, text = _NOTICES.get(said, ("", ""))
        tone, icon = ("warn", "lock") if said == "ended" else ("ok", "check")
        notice = PageNotice(tone=tone, icon=icon, title=gettext(title), text=gettext(text)) if title else None
        view = PageView("login.html", email="", next=_own_page(context, request.args.get("next", "")), notice=notice)
        return context.page(view)
    return see_other(f"{context.root}/")


async def login(context: AnonymousContext) -> Response:
    """Sign in: always a new session, regardless of an earlier cookie."""
    form = await request.form
    email, target = form.get("email", "").strip()[:254], _own_page(context, form.get("next", ""))
    password, source = form.get("password", "")[:1024], request.sent.source
    try:
        session = await context.services.signin.sign_in(context.tenant, email, password, source=source, kind="browser")
    except (InvalidCredentials, LoginThrottled) as error:
        return context.page(PageView("login.html", email=email, next=target, notice=_refused(error)), error.status)
    response = see_other(target or f"{context.root}/")
    response.headers.add("Set-Cookie", session_cookie(context.services, request.sent, context.tenant, session))
    return response


async def logout(context: PageContext) -> Response:
    """Sign out: end the session and its open streams."""
    assert context.caller.session is not None
    await context.services.sessions.end(context.tenant, context.caller.session)
    response = redirect(context, "/login?said=out")
    response.headers.add("Set-Cookie", ended_session_cookie(context.services, request.sent, context.tenant))
    return response


async def forgot_page(context: AnonymousContext) -> Response:
    """The form that requests a password link."""
    return context.page(PageView("forgot.html", form=True, notice=None))


async def forgot(context: AnonymousContext) -> Response:
    """Email a password link if the address is known; the response is the same either way."""
    email = (await request.form).get("email", "").strip()[:254]
    sender = sender_of(context.site, context.workspace)
    if not sender.can_send:
        return _not_sent(context, gettext("This workspace has no mail server yet."))
    if context.lasting_address("/") is None:
        _log.warning("email_without_public_url", tenant=context.tenant, fix="set public_url in instance.yaml")
        return _not_sent(context, gettext("This workspace does not know its own web address yet."))
    sender.send_later(_send_reset(context, sender, email))
    text = gettext(
        "If we know this address, we have sent a link to it. The link expires in {hours} hours.", hours=RESET_HOURS
    )
    notice = PageNotice(tone="ok", icon="mail", title=gettext("Check your email."), text=text)
    return context.page(PageView("forgot.html", form=False, notice=notice))


def _not_sent(context: AnonymousContext, reason: str) -> Response:
    text = reason + " " + gettext("Ask your admin for a link.")
    notice = PageNotice(tone="warn", icon="mail", title=gettext("No email was sent."), text=text)
    return context.page(PageView("forgot.html", form=False, notice=notice))


async def _send_reset(context: AnonymousContext, sender: EmailSender, email: str) -> None:
    stored = await context.services.users.by_email(context.tenant, email)
    if stored is None or stored.user.disabled:
        return
    user, brand = stored.user, sender.brand
    link = await context.services.signin.link(context.tenant, user.id, RESET, by=None)
    url = context.lasting_address(f"/password/{link}")
    assert url is not None  # ``forgot`` has checked it
    set_language(context.site.language_of(context.workspace, user.language))  # of this background task alone
    await sender.send(password_reset(brand, name=user_name(user), url=url, hours=RESET_HOURS), user.email)


async def password_page(context: AnonymousContext, link: str) -> Response:
    """The form that sets a password through a link."""
    try:
        stored = await context.services.signin.user_of_link(context.tenant, link)
    except Unauthenticated as error:
        return _dead_link(context, error)
    return context.page(_password_view(stored, ""))


async def password(context: AnonymousContext, link: str) -> Response:
    """Set the password, which uses the link up and ends every session of the user."""
    form = await request.form
    chosen, again = form.get("password", ""), form.get("again", "")
    try:
        stored = await context.services.signin.user_of_link(context.tenant, link)
        problem = gettext(MISMATCH) if chosen != again else ""
        if not problem:
            await context.services.signin.set_password_by_link(context.tenant, link, chosen)
            return see_other(f"{context.root}/login?said=password")
    except Unauthenticated as error:
        return _dead_link(context, error)
    except InvalidRecord as error:
        problem = first_message(error)
    return context.page(_password_view(stored, problem), 422)


def _password_view(stored: StoredUser, problem: str) -> PageView:
    title, email = gettext("Welcome") if stored.user.password is None else gettext("New password"), stored.user.email
    fields = new_password_fields(problem, "")
    return PageView(
        "password.html", title=title, text=gettext("For {email}", email=email), email=email, fields=fields, notice=None
    )


def new_password_fields(error: str, repeat_error: str) -> tuple[Field, Field]:
    """The two fields in which a new password is entered, with their errors."""
    hint = gettext("At least {min_length} characters; several words work well", min_length=MIN_LENGTH)
    return (
        password_field("password", gettext("New password"), auto="new-password", hint=hint, error=error),
        password_field("again", gettext("Repeat password"), auto="new-password", error=repeat_error),
    )


def password_field(name: str, label: str, *, auto: str, hint: str = "", error: str) -> Field:
    """A field for a password."""
    return Field(
        name=name, label=label, kind="password", auto=auto, required=True, longest=MAX_LENGTH, hint=hint, error=error
    )


def first_message(error: CrmError) -> str:
    """The message of an error's first finding, or the error's own."""
    return localized(error.errors[0].message if error.errors else error.detail)


def _dead_link(context: AnonymousContext, error: CrmError) -> Response:
    notice = failure(gettext("This link no longer works."), localized(error.detail))
    text = gettext("Each link works once and expires.")
    view = PageView("password.html", title=gettext("Set a password"), text=text, email="", fields=(), notice=notice)
    return context.page(view, 410)


def _refused(error: CrmError) -> PageNotice:
    if isinstance(error, LoginThrottled):
        return failure(gettext("Too many attempts."), localized(error.detail))
    text = gettext("Check both and try again, or reset your password.")
    return failure(gettext("The email address or the password is wrong."), text)


def _own_page(context: AnonymousContext, target: str) -> str:
    """The target if it is a page of this tenant, else an empty text: signing in redirects to no other site."""
    path = target.partition("?")[0].partition("#")[0]
    # Browsers resolve dot segments: such an address would start here and lead anywhere on this host.
    fits = target.startswith(f"{context.root}/") and target.isprintable() and refused(path.encode()) is None
    return target if fits and "/login" not in target and "/logout" not in target else ""

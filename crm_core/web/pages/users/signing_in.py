"""Signing in and out, and passwords by letter: pages for those who are not signed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from quart import Response, request

from crm_core.access.passwords import LONGEST, SHORTEST
from crm_core.access.signin import RESET
from crm_core.access.user import StoredUser
from crm_core.errors import CrmError, InvalidCredentials, InvalidRecord, LoginThrottled, Unauthenticated
from crm_core.mail import password_reset
from crm_core.server.paths import refused
from crm_core.server_log import ServerLog
from crm_core.web.callers import forget_sign_in, keep_signed_in, visitor
from crm_core.web.exchange import exchange
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.layout.parts import PageNotice
from crm_core.web.pages.mail.sender import EmailSender, sender_of
from crm_core.web.pages.page_answers import redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.forms import Field

_log = ServerLog("crm.mail")
_NOTICES: Final[Mapping[str, PageNotice]] = {
    "out": PageNotice(tone="ok", icon="check", title="You are signed out."),
    "password": PageNotice(tone="ok", icon="check", title="The password is set.", text="Sign in with it."),
}

_NO_SERVER: Final = PageNotice(
    tone="warn",
    icon="mail",
    title="No letter was sent.",
    text="This workspace has no mail server yet. Your admin can give you a link.",
)
_NO_ADDRESS: Final = PageNotice(
    tone="warn",
    icon="mail",
    title="No letter was sent.",
    text="This workspace does not know its own web address yet. Your admin can give you a link.",
)
_SENT: Final = PageNotice(
    tone="ok",
    icon="mail",
    title="Look into your mail.",
    text="If the address is known here, a letter with a link is on its way. The link is good for 2 hours.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginView:
    """The sign-in form. ``next``: where the user wanted to go."""

    email: str
    next: str
    notice: PageNotice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgotView:
    """The form that asks for a letter; gone once it was sent."""

    form: bool
    notice: PageNotice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordView:
    """The form that sets a password; without fields the link is not good."""

    title: str
    text: str
    email: str
    fields: tuple[Field, ...]
    notice: PageNotice | None


async def login_page(context: AnonymousContext) -> Response:
    """The sign-in form; who is signed in goes on to the dashboard."""
    try:
        await visitor(context.services, context.tenant)
    except Unauthenticated:
        said = _NOTICES.get(request.args.get("said", ""))
        view = LoginView(email="", next=_inside(context, request.args.get("next", "")), notice=said)
        return context.page("login.html", view)
    return context.go(f"{context.root}/")


async def login(context: AnonymousContext) -> Response:
    """Sign in: a new session, whatever cookie was there before."""
    form = await request.form
    email, wanted = form.get("email", "").strip()[:254], _inside(context, form.get("next", ""))
    password, source = form.get("password", "")[:1024], exchange().source
    try:
        session = await context.services.signin.sign_in(context.tenant, email, password, source=source, kind="browser")
    except (InvalidCredentials, LoginThrottled) as error:
        return context.page("login.html", LoginView(email=email, next=wanted, notice=_refused(error)), error.status)
    made = context.go(wanted or f"{context.root}/")
    keep_signed_in(made, context.services, context.tenant, session)
    return made


async def logout(context: PageContext) -> Response:
    """Sign out: the session ends, and its open streams with it."""
    assert context.caller.session is not None
    await context.services.sessions.end(context.tenant, context.caller.session)
    made = redirect(context, "/login?said=out")
    forget_sign_in(made, context.services, context.tenant)
    return made


async def forgot_page(context: AnonymousContext) -> Response:
    """The form that asks for a letter."""
    return context.page("forgot.html", ForgotView(form=True, notice=None))


async def forgot(context: AnonymousContext) -> Response:
    """Send the letter where the address is known; the answer is the same either way."""
    email = (await request.form).get("email", "").strip()[:254]
    sender = sender_of(context)
    if not sender.can_send:
        return context.page("forgot.html", ForgotView(form=False, notice=_NO_SERVER))
    if context.lasting_address("/") is None:
        _log.warning("letter_without_address", tenant=context.tenant, mend="set public_url in instance.yaml")
        return context.page("forgot.html", ForgotView(form=False, notice=_NO_ADDRESS))
    sender.later(_send_reset(context, sender, email))
    return context.page("forgot.html", ForgotView(form=False, notice=_SENT))


async def _send_reset(context: AnonymousContext, sender: EmailSender, email: str) -> None:
    held = await context.services.users.by_email(context.tenant, email)
    if held is None or held.user.disabled:
        return
    link = await context.services.signin.link(context.tenant, held.user.id, RESET, by=None)
    url = context.lasting_address(f"/password/{link}")
    assert url is not None  # asked before
    name, hours = held.user.name or held.user.email, int(RESET.total_seconds() // 3600)
    await sender.send(password_reset(sender.brand, name=name, url=url, hours=hours), held.user.email)


async def password_page(context: AnonymousContext, link: str) -> Response:
    """The form that sets a password by a link."""
    try:
        held = await context.services.signin.user_of_link(context.tenant, link)
    except Unauthenticated as error:
        return _spent(context, error)
    return context.page("password.html", _choosing(held, ""))


async def password(context: AnonymousContext, link: str) -> Response:
    """Set the password; the link is used up by that, and every sign-in of the user ends."""
    form = await request.form
    chosen, again = form.get("password", ""), form.get("again", "")
    try:
        held = await context.services.signin.user_of_link(context.tenant, link)
        problem = "The two do not match; type the password twice." if chosen != again else ""
        if not problem:
            await context.services.signin.set_password_by_link(context.tenant, link, chosen)
            return context.go(f"{context.root}/login?said=password")
    except Unauthenticated as error:
        return _spent(context, error)
    except InvalidRecord as error:
        problem = error.errors[0].message if error.errors else error.detail
    return context.page("password.html", _choosing(held, problem), 422)


def _choosing(held: StoredUser, problem: str) -> PasswordView:
    hint = f"At least {SHORTEST} characters; a few words in a row are good"
    fields = (
        password_field("password", "New password", auto="new-password", hint=hint, error=problem),
        password_field("again", "The same again", auto="new-password"),
    )
    title = "Welcome" if held.user.password is None else "New password"
    return PasswordView(title=title, text=f"For {held.user.email}", email=held.user.email, fields=fields, notice=None)


def password_field(name: str, label: str, *, auto: str, hint: str = "", error: str = "") -> Field:
    """A field for a password."""
    return Field(
        name=name, label=label, kind="password", auto=auto, required=True, longest=LONGEST, hint=hint, error=error
    )


def _spent(context: AnonymousContext, error: CrmError) -> Response:
    notice = PageNotice(tone="bad", icon="alert", title="This link is not good any more.", text=error.detail)
    view = PasswordView(
        title="Set a password", text="Links work once, and for a while.", email="", fields=(), notice=notice
    )
    return context.page("password.html", view, 410)


def _refused(error: CrmError) -> PageNotice:
    if isinstance(error, LoginThrottled):
        wait = f" Wait {error.retry_after} seconds, then try again." if error.retry_after else ""
        return PageNotice(tone="bad", icon="alert", title="Too many attempts.", text=f"{error.detail}{wait}")
    text = "Check both and try again, or ask for a new password."
    return PageNotice(tone="bad", icon="alert", title="Mail address and password do not match.", text=text)


def _inside(context: AnonymousContext, wanted: str) -> str:
    """An address of this tenant's pages, or nothing: nobody is sent elsewhere after signing in."""
    path = wanted.partition("?")[0].partition("#")[0]
    # Browsers take dot segments out: such an address would start here and lead anywhere on this host.
    fits = wanted.startswith(f"{context.root}/") and wanted.isprintable() and refused(path.encode()) is None
    return wanted if fits and "/login" not in wanted and "/logout" not in wanted else ""

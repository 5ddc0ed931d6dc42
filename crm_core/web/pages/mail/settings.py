"""The mail settings that the platform pushed, and a test email that reports each step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

import msgspec

from crm_core.language import gettext, gettext_noop, localized
from crm_core.mail import DeliveryError, Step, delivery_test
from crm_core.model.presentation import MailSettings
from crm_core.web.pages.browser import Response
from crm_core.web.pages.layout.parts import Fact, Mark, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.mail.sender import EmailSender, sender_of
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.progress import followed
from crm_core.workspace import Section

_STEPS: Final[Mapping[str, str]] = {
    "found": gettext_noop("Address found"),
    "connected": gettext_noop("Connected"),
    "encrypted": gettext_noop("Encrypted"),
    "signed_in": gettext_noop("Signed in"),
    "accepted": gettext_noop("Accepted"),
}
_SECURITY: Final = {"starttls": "STARTTLS", "tls": "TLS", "none": gettext_noop("not encrypted")}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a test: its steps, and once it has ended a notice. ``reply``: the server's own words."""

    steps: tuple[Mark, ...]
    notice: PageNotice | None = None
    reply: str = ""


async def mail(context: PageContext) -> Response:
    """The mail settings."""
    sender = sender_of(context.site, context.workspace)
    return await page(context, "mail", _view(context, sender, None))


async def send_test(context: PageContext) -> Response:
    """Send a test email to the user's own address; stream each step to a script, show a form the result."""
    sender = sender_of(context.site, context.workspace)
    result = await followed(context, _results(context, sender), "mail_result.html")
    if isinstance(result, Response):
        return result
    return await page(context, "mail", _view(context, sender, result))


async def _results(context: PageContext, sender: EmailSender) -> AsyncIterator[Result]:
    """The state of the test after each step."""
    planned, done = sender.server.steps if sender.server else (), 0
    yield Result(steps=_marks(planned, done, "info", "sync"))
    try:
        async for step in sender.steps(delivery_test(sender.brand, context.caller.name), context.caller.email):
            done += 1
            if step != "accepted":
                yield Result(steps=_marks(planned, done, "info", "sync"))
    except DeliveryError as error:
        notice = failure(gettext(error.what), gettext(error.fix))
        yield Result(steps=_marks(planned, done, "bad", "x"), notice=notice, reply=localized(error.response))
        return
    text = gettext("The server accepted the email to {email}. Check that mailbox.", email=context.caller.email)
    notice = PageNotice(tone="ok", icon="check", title=gettext("It works."), text=text)
    yield Result(steps=_marks(planned, done, "ok", "check"), notice=notice)


def _marks(planned: tuple[Step, ...], done: int, tone: str, icon: str) -> tuple[Mark, ...]:
    """The steps: those done, the current one in this tone and icon, and those to come."""
    styles = [("ok", "check")] * done + [(tone, icon)] + [("", "minus")] * len(planned)
    return tuple(Mark(*style, gettext(_STEPS[step])) for step, style in zip(planned, styles, strict=False))


def _view(context: PageContext, sender: EmailSender, result: Result | None) -> PageView:
    found = context.workspace.mail_server
    note = (
        gettext("Pushed by the platform as version {version}. You cannot edit it here.", version=found[1].version)
        if found
        else ""
    )
    return PageView(
        "mail.html",
        note=note,
        facts=tuple(_facts(*found)) if found else (),
        to=context.caller.email,
        steps=tuple(gettext(_STEPS[step]) for step in sender.server.steps) if sender.server else (),
        can_send=sender.can_send,
        result=result,
    )


def _facts(settings: MailSettings, section: Section) -> Iterator[Fact]:
    host, port = settings.host, settings.port
    yield Fact(
        gettext("Server"),
        f"{host}{f':{port}' if port else ''}" if host else gettext("Not set: push a host"),
        code=bool(host),
    )
    yield Fact(gettext("Encryption"), gettext(_SECURITY[settings.security or "starttls"]))
    if settings.username:
        yield Fact(gettext("User"), settings.username)
    yield Fact(
        gettext("Password"), gettext("Set, never shown") if settings.password in section.sealed else gettext("Not set")
    )
    name, address = settings.from_name, settings.from_email
    yield Fact(
        gettext("From"),
        f"{name} <{address}>" if name and address else address or name or gettext("Not set: push a sender"),
    )
    if settings.reply_to:
        yield Fact(gettext("Reply to"), settings.reply_to)
    if settings.timeout_seconds:
        yield Fact(gettext("Timeout"), gettext("{seconds} seconds per step", seconds=settings.timeout_seconds))

"""Mail settings as the platform pushed them, and the test mail, told step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from quart import Response, request

from crm_core.mail import DeliveryError, Step, delivery_test
from crm_core.web.pages.layout.parts import Fact, Mark
from crm_core.web.pages.mail.sender import SECTION, EmailSender, sender_of
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.streams import NDJSON

_STEPS: Final[Mapping[str, str]] = {
    "found": "Address found",
    "connected": "Connected",
    "encrypted": "Encrypted",
    "signed_in": "Signed in",
    "accepted": "Accepted",
}
_SECURITY: Final = {"starttls": "STARTTLS", "tls": "TLS", "none": "not encrypted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a test goes or went: the steps, and a sentence once it is over."""

    steps: tuple[Mark, ...]
    tone: str
    icon: str
    title: str
    text: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailView:
    """Mail settings for their page."""

    sub: str
    note: str
    facts: tuple[Fact, ...]
    to: str
    steps: tuple[str, ...]
    can_send: bool
    result: Result | None


async def mail(context: PageContext) -> Response:
    """The mail settings."""
    return await page(context, "mail.html", "mail", _view(context, sender_of(context), None))


async def tested(context: PageContext) -> Response:
    """Send a test mail to the user's own address; a script gets each step as it is done, a form the result."""
    sender = sender_of(context)
    if request.headers.get("Accept") == NDJSON:
        made = Response(_told(context, sender), 200, content_type=NDJSON)
        made.headers["Cache-Control"] = "no-store"
        made.headers["X-Accel-Buffering"] = "no"
        return made
    result = None
    async for step in _results(context, sender):
        result = step
    return await page(context, "mail.html", "mail", _view(context, sender, result))


async def _told(context: PageContext, sender: EmailSender) -> AsyncIterator[bytes]:
    async for result in _results(context, sender):
        html = context.site.renderer.text("mail_result.html", result=result)
        yield msgspec.json.encode({"html": html}) + b"\n"


async def _results(context: PageContext, sender: EmailSender) -> AsyncIterator[Result]:
    """The state of the test after each step."""
    done: list[Step] = []
    planned = sender.server.steps if sender.server else ()
    yield _under_way(planned, done)
    try:
        async for step in sender.steps(delivery_test(sender.brand, context.caller.name), context.caller.email):
            done.append(step)
            if step != "accepted":
                yield _under_way(planned, done)
    except DeliveryError as trouble:
        yield _failed(planned, done, trouble)
        return
    marks = tuple(Mark("ok", "check", _STEPS[step]) for step in planned)
    text = f"The server took the letter to {context.caller.email}. Look into that mailbox."
    yield Result(steps=marks, tone="ok", icon="check", title="It works.", text=text, said="")


def _under_way(planned: tuple[Step, ...], done: list[Step]) -> Result:
    marks = []
    for at, step in enumerate(planned):
        if at < len(done):
            marks.append(Mark("ok", "check", _STEPS[step]))
        else:
            marks.append(Mark("info", "sync", _STEPS[step]) if at == len(done) else Mark("", "minus", _STEPS[step]))
    return Result(steps=tuple(marks), tone="", icon="", title="", text="", said="")


def _failed(planned: tuple[Step, ...], done: list[Step], trouble: DeliveryError) -> Result:
    marks = []
    for at, step in enumerate(planned):
        tone, icon = ("ok", "check") if at < len(done) else ("bad", "x") if at == len(done) else ("", "minus")
        marks.append(Mark(tone, icon, _STEPS[step]))
    return Result(
        steps=tuple(marks), tone="bad", icon="alert", title=trouble.what, text=trouble.fix, said=trouble.response
    )


def _view(context: PageContext, sender: EmailSender, result: Result | None) -> MailView:
    section = context.workspace.sections.get(SECTION)
    note = f"Pushed by the platform as version {section.version}; it cannot be edited here" if section else ""
    return MailView(
        sub="The server that this workspace sends letters through",
        note=note,
        facts=tuple(_facts(section.data)) if section else (),
        to=context.caller.email,
        steps=tuple(_STEPS[step] for step in sender.server.steps) if sender.server else (),
        can_send=sender.can_send,
        result=result,
    )


def _facts(data: Mapping[str, Any]) -> Iterator[Fact]:
    host, port, security = data.get("host"), data.get("port"), data.get("security") or "starttls"
    yield Fact("Server", f"{host}{f':{port}' if port else ''}" if host else "No host was pushed", code=bool(host))
    yield Fact("Encryption", _SECURITY[security])
    if data.get("username"):
        yield Fact("User", data["username"])
    yield Fact("Password", "Set; it is never shown" if data.get("password") else "Not set")
    name, address = data.get("from_name"), data.get("from_email")
    yield Fact("From", f"{name} <{address}>" if name and address else address or name or "No sender was pushed")
    if data.get("reply_to"):
        yield Fact("Answers to", data["reply_to"])
    if data.get("timeout_seconds"):
        yield Fact("Patience", f"{data['timeout_seconds']} seconds for each step")

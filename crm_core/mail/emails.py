"""Letters in the tenant's brand, as text and as HTML: the test, the invitation, the password reset."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, make_msgid
from functools import cache

import msgspec
from jinja2 import Environment, PackageLoader, select_autoescape

from crm_core.mail.server import MailServer


class MailBrand(msgspec.Struct, frozen=True, kw_only=True):
    """What a letter wears: colours as ``#rrggbb``, readable on each other, and a logo only from an https URL."""

    title: str
    primary: str
    on_primary: str
    text: str
    muted: str
    background: str
    logo: str | None = None
    footer: str = ""


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """What a letter says. ``action``: label and URL of the one thing to do."""

    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    action: tuple[str, str] | None = None
    closing: tuple[str, ...] = ()


def trial(brand: MailBrand, name: str) -> Email:
    """The test mail."""
    return Email(
        subject=f"Test mail from {brand.title}",
        greeting=f"Hello {name},",
        paragraphs=(
            "this is the test mail that you asked for. The mail server of this workspace found its way to you.",
        ),
    )


def invitation(brand: MailBrand, *, name: str, by: str, url: str, days: int) -> Email:
    """The invitation of a new user."""
    return Email(
        subject=f"{by} invites you to {brand.title}",
        greeting=f"Hello {name},",
        paragraphs=(f"{by} made an account for you in the workspace of {brand.title}. Choose a password to sign in.",),
        action=("Choose a password", url),
        closing=(
            f"The link is good for {days} days and works once.",
            "If you did not expect this letter, leave it: without the link nothing happens.",
        ),
    )


def reset(brand: MailBrand, *, name: str, url: str, hours: int) -> Email:
    """The link by which somebody sets a new password."""
    return Email(
        subject=f"A new password for {brand.title}",
        greeting=f"Hello {name},",
        paragraphs=("somebody, most likely you, asked for a new password. Set it with this link.",),
        action=("Set a new password", url),
        closing=(
            f"The link is good for {hours} hours and works once.",
            "If it was not you, leave this letter: your password stays as it is.",
        ),
    )


def written(letter: Email, brand: MailBrand, server: MailServer, *, to: str, at: datetime) -> EmailMessage:
    """The letter as a message from the tenant's own sender to one recipient."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["Subject"] = _line(letter.subject)
    message["From"] = _address(server.from_name or brand.title, server.from_email)
    message["To"] = _address("", to)
    if server.reply_to:
        message["Reply-To"] = _address("", server.reply_to)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = make_msgid(domain=server.from_email.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(_pages().get_template("letter.txt").render(letter=letter, brand=brand))
    message.add_alternative(_pages().get_template("letter.html").render(letter=letter, brand=brand), subtype="html")
    return message


def _address(name: str, address: str) -> Address:
    return Address(_line(name), addr_spec=address)


def _line(text: str) -> str:
    """One line: what a header holds must not be able to begin another."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@cache
def _pages() -> Environment:
    return Environment(
        loader=PackageLoader("crm_core.mail"),
        autoescape=select_autoescape(("html",)),
        trim_blocks=True,
        lstrip_blocks=True,
    )

"""Emails in the tenant's brand, as text and as HTML: the delivery test, the invitation, the password reset.

They are written in the current language, which is the recipient's.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import format_datetime, make_msgid
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from crm_core.language import current, gettext
from crm_core.mail.server import MailServer
from crm_core.model.domains import ascii_address

if TYPE_CHECKING:
    from email.message import EmailMessage

    from jinja2 import Environment


_PLAIN_TEXT: Final = re.compile(r"(?:(?!=\?)[ -~])*")
_PLAIN_WORDS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=^_`{|}~ -]*")
"""Text without encoded words, and words without the signs that mean something in an address (RFC 5322, 3.2.3)."""
_LONGEST: Final = 76


class MailBrand(msgspec.Struct, frozen=True, kw_only=True):
    """The brand of an email: colors as ``#rrggbb``, readable on each other, and a logo only from an https URL."""

    title: str
    primary: str
    on_primary: str
    text: str
    muted: str
    background: str
    logo: str | None = None
    footer: str = ""


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """The text of an email. ``action``: label and URL of its button."""

    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    action: tuple[str, str] | None = None
    closing: tuple[str, ...] = ()


def delivery_test(brand: MailBrand, name: str) -> Email:
    """The test email."""
    return Email(
        subject=gettext("Test email from {title}", title=brand.title),
        greeting=gettext("Hello {name},", name=name),
        paragraphs=(gettext("This is the test email that you requested. Your workspace can send email."),),
    )


def invitation(brand: MailBrand, *, name: str, by: str, url: str, days: int) -> Email:
    """The invitation of a new user."""
    return Email(
        subject=gettext("{name} invites you to {title}", name=by, title=brand.title),
        greeting=gettext("Hello {name},", name=name),
        paragraphs=(
            gettext(
                "{name} created an account for you in {title}. Choose a password to sign in.",
                name=by,
                title=brand.title,
            ),
        ),
        action=(gettext("Choose a password"), url),
        closing=(
            gettext("The link expires in {days} days and works once.", days=days),
            gettext("If you did not expect this email, you can ignore it."),
        ),
    )


def password_reset(brand: MailBrand, *, name: str, url: str, hours: int) -> Email:
    """The link to set a new password."""
    return Email(
        subject=gettext("Set a new password for {title}", title=brand.title),
        greeting=gettext("Hello {name},", name=name),
        paragraphs=(gettext("We received a request to reset your password. Use this link to set a new one."),),
        action=(gettext("Set a new password"), url),
        closing=(
            gettext("The link expires in {hours} hours and works once.", hours=hours),
            gettext("If you did not request this, you can ignore this email: your password does not change."),
        ),
    )


def to_message(email: Email, brand: MailBrand, server: MailServer, *, to: str, at: datetime) -> EmailMessage:
    """The email as a message from the tenant's own sender to one recipient."""
    from email.message import EmailMessage
    from email.policy import SMTP as SMTP_POLICY

    message = EmailMessage(policy=SMTP_POLICY.clone(refold_source="none", cte_type="7bit"))
    # As they are sent: the library decodes encoded words that are in a text already, which may hide the end of a line,
    # and leaves out the quotes of a long name where it folds the line, which then names several senders.
    message.set_raw("Subject", _encoded(email.subject, "Subject", _PLAIN_TEXT))
    name = _encoded(server.from_name or brand.title, "From", _PLAIN_WORDS)
    message.set_raw("From", "\r\n ".join(filter(None, (name, f"<{server.from_email}>"))))
    message.set_raw("To", ascii_address(to))  # so that no server needs SMTPUTF8 (RFC 6531)
    if server.reply_to:
        message.set_raw("Reply-To", server.reply_to)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = make_msgid(domain=server.from_email.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(_templates().get_template("email.txt").render(email=email, brand=brand))
    message.add_alternative(_templates().get_template("email.html").render(email=email, brand=brand), subtype="html")
    return message


def load_templates() -> None:
    """Compile the templates; in a thread, as it takes long."""
    for name in ("email.txt", "email.html"):
        _templates().get_template(name)


def _encoded(text: str, header: str, plain: re.Pattern[str]) -> str:
    """A text for a header, in short lines: as it is if it is ``plain``, else in encoded words (RFC 2047)."""
    from email.header import Header

    line = _line(text)
    charset = None if plain.fullmatch(line) else "utf-8"
    return Header(line, charset, maxlinelen=_LONGEST, header_name=header).encode(linesep="\r\n")


def _line(text: str) -> str:
    """One line: a header's value must not be able to begin another header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("crm_core.mail"),
        autoescape=select_autoescape(("html",)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"_": gettext, "language": current}
    return environment

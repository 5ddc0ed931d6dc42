"""The smtp payload type: the mail server of a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from crm_core.errors import Finding
from crm_core.model.domains import is_domain
from crm_core.model.hosts import is_inside_host
from crm_core.model.text_types import Email, Line
from crm_core.plugin.payload import MailSettings, PayloadContext, PayloadType, secret

_MASKS: Final = frozenset("*\u2022\u25cf\u2219\u00b7\u2217\u204e\uff0a\u25e6\u2b24\u26ab\u2981\u30fb ")
"""Asterisks and bullets, with which forms show a password."""

# Letters, digits, `_`, `-` and all beyond ASCII; ``is_domain`` knows which of those may be in a name.
_LABEL = r"[^\x00-\x2c\x2e\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xa0]+"
Host = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=rf"\A(?:{_LABEL}(?:\.{_LABEL})*\.?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+\]?)\Z",
        description="a host name or address, without a scheme or a port",
        extra={"check": is_domain},
    ),
]
Port = Annotated[int, Meta(ge=1, le=65535, description="a port from 1 to 65535")]
Seconds = Annotated[int, Meta(ge=1, le=300, description="whole seconds from 1 to 300")]
Security = Literal["starttls", "tls", "none"]
Password = Annotated[
    str,
    secret(
        bound_to=("host", "port", "security", "username"),
        min_length=1,
        max_length=1000,
        pattern=r"\A[^\x00-\x1f\x7f]*\Z",
        description="text of 1 to 1,000 characters, no control characters",
    ),
]


class Smtp(Struct, frozen=True, forbid_unknown_fields=True):
    """The smtp section."""

    host: Host | UnsetType = UNSET
    port: Port | UnsetType = UNSET
    security: Security | UnsetType = UNSET
    username: Line | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    from_email: Email | UnsetType = UNSET
    from_name: Line | UnsetType = UNSET
    reply_to: Email | UnsetType = UNSET
    timeout_seconds: Seconds | UnsetType = UNSET

    def __repr__(self) -> str:
        """Leave the password out of logs and tracebacks."""
        return f"Smtp(host={self.host!r}, port={self.port!r}, security={self.security!r})"


HeloName = Annotated[
    str,
    Meta(
        max_length=255,
        # RFC 5321, section 4.1.2: a full domain name, or an address literal
        pattern=r"\A(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,62}|\[[0-9A-Za-z.:]+\])\Z",
        description="a full host name, or an address in brackets such as [192.0.2.1]",
    ),
]


class SmtpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``smtp`` in instance.yaml.

    Whether hosts may be inside the network, the allowed ports, and the name with which this server introduces itself.
    """

    allow_private_hosts: bool = False
    ports: tuple[Port, ...] = (25, 465, 587, 2525)
    helo_name: HeloName | None = None


class SmtpType(PayloadType):
    """Host, credentials and sender. The addresses of a host name are checked when the mailer connects."""

    NAME = "smtp"
    SECTION = Smtp
    OPTIONS = SmtpOptions

    def validate(self, part: Smtp, context: PayloadContext) -> Iterable[Finding]:
        """Hosts and ports inside the network, encoded words in headers, settings that do not fit each other."""
        options = context.options if isinstance(context.options, SmtpOptions) else SmtpOptions()
        if not options.allow_private_hosts:
            yield from _reach(part, options)
        yield from _encoded_words(part)
        yield from _password(part, context)
        yield from _port_and_security(part)

    def mail_server(self, part: Smtp) -> MailSettings:
        """All of the section; the password is opened by the core."""
        data = msgspec.to_builtins(part)
        settings = {name: data.get(name) for name in MailSettings.__struct_fields__}
        return MailSettings(**settings | {"password": "/password"})


def _password(part: Smtp, context: PayloadContext) -> Iterator[Finding]:
    """A password in the clear, one that a form masked, and one that the push removes."""
    sent = None if part.password is UNSET else part.password
    if sent is not None and _MASKS.issuperset(sent):
        text = "This is the mask of a password, not the password. Send the password, or merge without it to keep it."
        yield Finding("/password", "password_masked", text)
    has_password = sent is not None or "/password" in context.secrets
    if part.security == "none" and has_password:
        text = "Without encryption anyone on the network can read the password. Use starttls or tls."
        yield Finding("/security", "password_in_clear", text, warning=True)
    current = context.current.get(SmtpType.NAME, {})
    same_user = part.username is not UNSET and part.username == current.get("username")
    if same_user and "password" in current and not has_password:
        text = (
            "This removes the stored password, so nothing signs in. Send the password, or merge without it to keep it."
        )
        yield Finding("/password", "password_dropped", text, warning=True)


def _port_and_security(part: Smtp) -> Iterator[Finding]:
    """RFC 8314: on port 465 TLS comes first, on port 587 STARTTLS follows the greeting."""
    if part.port == 465 and part.security != "tls":
        text = "Port 465 expects TLS from the start. Use security tls, or port 587 with starttls."
        yield Finding("/security", "port_mismatch", text, warning=True)
    elif part.port == 587 and part.security == "tls":
        text = "Port 587 expects STARTTLS. Use security starttls, or port 465 with tls."
        yield Finding("/security", "port_mismatch", text, warning=True)


def _reach(part: Smtp, options: SmtpOptions) -> Iterator[Finding]:
    if part.host is not UNSET and is_inside_host(part.host):
        text = "This host is private, local or mapped. Use a public host, or have smtp.allow_private_hosts set."
        yield Finding("/host", "host_not_allowed", text)
    if part.port is not UNSET and part.port not in options.ports:
        text = f"This port is not allowed. Use one of {', '.join(map(str, options.ports))}."
        yield Finding("/port", "port_not_allowed", text)


def _encoded_words(part: Smtp) -> Iterator[Finding]:
    """RFC 2047: mail readers decode ``=?...?=`` to any text."""
    for name in ("from_email", "from_name", "reply_to"):
        value = getattr(part, name)
        if value is not UNSET and "=?" in value:
            yield Finding(f"/{name}", "invalid_value", "This must not contain `=?`. Write the text plainly.")

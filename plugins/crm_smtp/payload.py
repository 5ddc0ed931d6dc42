"""The smtp payload type: the mail server of a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import UNSET

from crm_core.errors import Finding
from crm_core.model.hosts import is_inside_host
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_smtp.section import Smtp, SmtpOptions


class SmtpType(PayloadType):
    """Host, credentials and sender. The addresses of a host name are checked when the mailer connects."""

    NAME = "smtp"
    SECTION = Smtp
    OPTIONS = SmtpOptions

    def validate(self, part: Smtp, context: PayloadContext) -> Iterable[Finding]:
        """Hosts and ports inside the network, encoded words in headers, an unencrypted password."""
        options = context.options if isinstance(context.options, SmtpOptions) else SmtpOptions()
        if not options.allow_private_hosts:
            yield from _reach(part, options)
        yield from _encoded_words(part)
        if part.security == "none" and part.password is not UNSET:
            text = "Without encryption anyone on the network can read the password. Use starttls or tls."
            yield Finding("/security", "password_in_clear", text, warning=True)


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

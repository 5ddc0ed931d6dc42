"""The smtp payload type: the mail server that a tenant sends through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import UNSET

from crm_core.errors import Finding
from crm_core.model.hosts import is_inside_host
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_smtp.section import Smtp, SmtpOptions


class SmtpType(PayloadType):
    """Host, credentials and sender. What a name resolves to is checked by whoever connects."""

    NAME = "smtp"
    SECTION = Smtp
    OPTIONS = SmtpOptions

    def validate(self, part: Smtp, context: PayloadContext) -> Iterable[Finding]:
        """Hosts and ports that could reach into the network, encoded words in headers, a password in the clear."""
        options = context.options if isinstance(context.options, SmtpOptions) else SmtpOptions()
        if not options.allow_private_hosts:
            yield from _reach(part, options)
        yield from _encoded_words(part)
        if part.security == "none" and part.password is not UNSET:
            told = "Without encryption the password crosses the network readable; use starttls or tls."
            yield Finding("/security", "password_in_clear", told, warning=True)


def _reach(part: Smtp, options: SmtpOptions) -> Iterator[Finding]:
    if part.host is not UNSET and is_inside_host(part.host):
        told = "This host is private, local or mapped; name a public one, or have smtp.allow_private_hosts set."
        yield Finding("/host", "host_not_allowed", told)
    if part.port is not UNSET and part.port not in options.ports:
        told = f"This port is not allowed here; use one of {', '.join(map(str, options.ports))}."
        yield Finding("/port", "port_not_allowed", told)


def _encoded_words(part: Smtp) -> Iterator[Finding]:
    """RFC 2047: a reader would decode ``=?...?=`` into anything at all."""
    for name in ("from_email", "from_name", "reply_to"):
        value = getattr(part, name)
        if value is not UNSET and "=?" in value:
            yield Finding(f"/{name}", "invalid_value", "This must not hold `=?`; write the text plainly.")

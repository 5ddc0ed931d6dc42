"""A tenant's mail server, from the settings of its section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from crm_core.model.domains import ascii_address, ascii_domain, is_address
from crm_core.model.presentation import MailSettings
from crm_core.model.text_types import Email

Security = Literal["starttls", "tls", "none"]
Step = Literal["found", "connected", "encrypted", "signed_in", "accepted"]
"""The steps of a delivery in order; without encryption or a user name there are fewer."""

_PORTS: Final[Mapping[str, int]] = {"starttls": 587, "tls": 465, "none": 25}
_TIMEOUT: Final = 15


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """Server, sign-in and sender, domains in ASCII; the timeout is in seconds, for each step."""

    host: str
    port: int
    security: Security
    username: str | None
    password: str | None
    from_email: str
    from_name: str | None
    reply_to: str | None
    timeout: int

    @property
    def signs_in(self) -> bool:
        """Whether there is a user name with a password."""
        return bool(self.username and self.password)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of a delivery through this server."""
        encrypted: tuple[Step, ...] = () if self.security == "none" else ("encrypted",)
        signed_in: tuple[Step, ...] = ("signed_in",) if self.signs_in else ()
        return ("found", "connected", *encrypted, *signed_in, "accepted")

    def __repr__(self) -> str:
        """Keep the password out of logs and traces."""
        return f"MailServer({self.host}:{self.port}, {self.security})"


def _is_address(username: str) -> bool:
    """Whether a user name is the email address of a sender as well."""
    try:
        return is_address(msgspec.convert(username, Email))
    except msgspec.ValidationError:
        return False


def mail_server(settings: MailSettings, password: str | None) -> MailServer | None:
    """The server of settings and their opened password; None if host or sender is missing."""
    security: Security = settings.security or "starttls"
    username = settings.username
    sender = settings.from_email or (username if username and _is_address(username) else None)
    if not settings.host or not sender:
        return None
    return MailServer(
        host=ascii_domain(settings.host),
        port=settings.port or _PORTS[security],
        security=security,
        username=username,
        password=password,
        from_email=ascii_address(sender),
        from_name=settings.from_name,
        reply_to=ascii_address(settings.reply_to) if settings.reply_to else None,
        timeout=settings.timeout_seconds or _TIMEOUT,
    )

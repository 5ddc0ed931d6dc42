"""A tenant's mail server, from the smtp section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from crm_core.model.domains import ascii_address, ascii_domain

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


def mail_server(section: Mapping[str, Any], password: str | None) -> MailServer | None:
    """The server of an smtp section and its opened password; None if host or sender is missing."""
    security: Security = section.get("security") or "starttls"
    username = section.get("username")
    sender = section.get("from_email") or (username if username and "@" in username else None)
    host = section.get("host")
    if not host or not sender:
        return None
    return MailServer(
        host=ascii_domain(host),
        port=section.get("port") or _PORTS[security],
        security=security,
        username=username,
        password=password,
        from_email=ascii_address(sender),
        from_name=section.get("from_name"),
        reply_to=ascii_address(reply_to) if (reply_to := section.get("reply_to")) else None,
        timeout=section.get("timeout_seconds") or _TIMEOUT,
    )

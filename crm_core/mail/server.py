"""The mail server of a tenant, as the smtp section says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

Security = Literal["starttls", "tls", "none"]
Step = Literal["found", "connected", "encrypted", "signed_in", "accepted"]
"""What a delivery goes through, in this order; without encryption or user name it has fewer."""

_PORTS: Final[Mapping[str, int]] = {"starttls": 587, "tls": 465, "none": 25}
_TIMEOUT: Final = 15


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail goes and in whose name; the timeout is in seconds and holds for each step."""

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
    def steps(self) -> tuple[Step, ...]:
        """The steps that a delivery through this server has."""
        encrypted: tuple[Step, ...] = () if self.security == "none" else ("encrypted",)
        signed_in: tuple[Step, ...] = ("signed_in",) if self.username and self.password else ()
        return ("found", "connected", *encrypted, *signed_in, "accepted")

    def __repr__(self) -> str:
        """The password stays out of logs and traces."""
        return f"MailServer({self.host}:{self.port}, {self.security})"


def mail_server(section: Mapping[str, Any], password: str | None) -> MailServer | None:
    """The server that a section names; None where host or sender are missing, so that nothing can be sent.

    Args:
        section: the data of the smtp section, with its secrets shown as set.
        password: the opened password.
    """
    security: Security = section.get("security") or "starttls"
    username = section.get("username")
    sender = section.get("from_email") or (username if username and "@" in username else None)
    host = section.get("host")
    if not host or not sender:
        return None
    return MailServer(
        host=host,
        port=section.get("port") or _PORTS[security],
        security=security,
        username=username,
        password=password,
        from_email=sender,
        from_name=section.get("from_name"),
        reply_to=section.get("reply_to"),
        timeout=section.get("timeout_seconds") or _TIMEOUT,
    )

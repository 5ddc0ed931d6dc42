"""The data of the smtp section, and its options in instance.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from crm_core.model.domains import is_domain
from crm_core.model.text_types import Email, Line
from crm_core.plugin.payload import secret

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
        pattern=r"\A(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{1,63}|\[[0-9A-Za-z.:]+\])\Z",
    ),
]


class SmtpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``smtp`` in instance.yaml.

    Whether hosts may be inside the network, the allowed ports, and the name with which this server introduces itself.
    """

    allow_private_hosts: bool = False
    ports: tuple[int, ...] = (25, 465, 587, 2525)
    helo_name: HeloName | None = None

"""Why an email was not delivered, by kind, so that an admin knows which setting to check."""

from __future__ import annotations

from typing import Final, Literal

FailureKind = Literal[
    "dns", "inside", "refused", "timeout", "tls", "mismatch", "unencrypted", "authentication", "no_sign_in",
    "sign_in_required", "helo", "temporary", "sender", "recipient", "content", "protocol", "busy", "not_installed",
    "no_server", "sealed", "unreadable",
]  # fmt: skip

_LONGEST: Final = 300
_TEXTS: Final[dict[FailureKind, tuple[str, str]]] = {
    "dns": ("The mail server's name has no address.", "Check host in the smtp section, and its DNS entry."),
    "inside": (
        "The mail server's address is inside this network, where connections are not allowed.",
        "Push a public host, or ask your operator to set smtp.allow_private_hosts.",
    ),
    "refused": (
        "The mail server refused the connection.",
        "Check port in the smtp section, and the firewall; the server may have blocked this one.",
    ),
    "timeout": (
        "The mail server did not respond in time.",
        "Check host, port and security (tls is for port 465, starttls for 587), or push a longer timeout_seconds.",
    ),
    "tls": (
        "The connection could not be encrypted.",
        "Check security in the smtp section (tls is for port 465, starttls for 587), and the server's certificate.",
    ),
    "mismatch": (
        "Port and security of the mail server do not fit.",
        "Push port 465 with security tls, or port 587 with security starttls.",
    ),
    "unencrypted": (
        "The mail server requires an encrypted connection.",
        "Push security starttls with port 587, or security tls with port 465.",
    ),
    "no_sign_in": (
        "The mail server offers no sign-in with a password.",
        "If it requires none, push smtp without username and password. Else ask its provider for a password sign-in.",
    ),
    "sign_in_required": ("The mail server requires a sign-in.", "Push username and password in the smtp section."),
    "helo": (
        "The mail server rejected the name with which this server introduces itself.",
        "Your operator can set smtp.helo_name in instance.yaml to a host name that DNS knows.",
    ),
    "temporary": (
        "The mail server does not accept the email at the moment.",
        "Try again in a few minutes; some servers delay the first email of a new sender.",
    ),
    "authentication": ("The mail server did not accept the user name or password.", "Push both again."),
    "sender": ("The mail server does not accept this sender.", "Check from_email: it must belong to the user name."),
    "recipient": (
        "The mail server rejected the recipient.",
        "Check the email address; the server may not relay to it.",
    ),
    "content": ("The mail server rejected the email itself.", "Read its response; often it is a spam filter."),
    "protocol": (
        "The connection broke off, or the other end is not a mail server.",
        "Check host and port in the smtp section.",
    ),
    "no_server": ("This workspace has no mail server yet.", "Have the platform push host and sender in smtp."),
    "sealed": (
        "The stored password of the mail server cannot be opened: this instance's secret key has changed.",
        "Have the platform push the smtp section again, with its password.",
    ),
    "not_installed": (
        "This instance cannot send email.",
        "Your operator can install what is missing: pip install 'crm-core[smtp]'.",
    ),
    "unreadable": (
        "The settings of the mail server cannot be read.",
        "Push them again; the sync console says what is wrong with them.",
    ),
    "busy": ("Too many emails are being sent.", "Try again in a minute."),
}
_RETRIABLE: Final[frozenset[FailureKind]] = frozenset({"temporary", "timeout", "refused", "busy"})


class DeliveryError(Exception):
    """An email was not delivered: what is wrong, how to fix it, and the server's response (no secret, printable).

    ``passing``: whether the cause may pass by itself, if its kind does not say so. ``will_retry``: whether it is sent
    again in the background.
    """

    def __init__(self, kind: FailureKind, response: str = "", *, passing: bool = False) -> None:
        self.kind: FailureKind = kind
        self._passing = passing
        self.what, self.fix = _TEXTS[kind]
        self.response = "".join(c if c.isprintable() else " " for c in response)[:_LONGEST].strip()
        self.will_retry = False
        super().__init__(self.what)

    @property
    def may_retry(self) -> bool:
        """Whether the same email may be accepted later (RFC 5321, section 4.5.4.1)."""
        return self._passing or self.kind in _RETRIABLE

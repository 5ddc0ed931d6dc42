"""Why an email was not delivered, by kind, so that an admin knows which setting to check."""

from __future__ import annotations

from typing import Final, Literal

from crm_core.language import gettext_noop

FailureKind = Literal[
    "dns", "inside", "refused", "timeout", "tls", "mismatch", "unencrypted", "authentication", "no_sign_in",
    "sign_in_required", "helo", "temporary", "sender", "recipient", "content", "protocol", "busy", "not_installed",
    "no_server", "sealed", "unreadable",
]  # fmt: skip

_LONGEST: Final = 300
_TEXTS: Final[dict[FailureKind, tuple[str, str]]] = {
    "dns": (
        gettext_noop("The mail server's name has no address."),
        gettext_noop("Check host in the smtp section, and its DNS entry."),
    ),
    "inside": (
        gettext_noop("The mail server's address is inside this network, where connections are not allowed."),
        gettext_noop("Push a public host, or ask your operator to set smtp.allow_private_hosts."),
    ),
    "refused": (
        gettext_noop("The mail server refused the connection."),
        gettext_noop("Check port in the smtp section, and the firewall; the server may have blocked this one."),
    ),
    "timeout": (
        gettext_noop("The mail server did not respond in time."),
        gettext_noop(
            "Check host, port and security (tls is for port 465, starttls for 587), or push a longer timeout_seconds."
        ),
    ),
    "tls": (
        gettext_noop("The connection could not be encrypted."),
        gettext_noop(
            "Check security in the smtp section (tls is for port 465, starttls for 587), and the server's certificate."
        ),
    ),
    "mismatch": (
        gettext_noop("Port and security of the mail server do not fit."),
        gettext_noop("Push port 465 with security tls, or port 587 with security starttls."),
    ),
    "unencrypted": (
        gettext_noop("The mail server requires an encrypted connection."),
        gettext_noop("Push security starttls with port 587, or security tls with port 465."),
    ),
    "no_sign_in": (
        gettext_noop("The mail server offers no sign-in with a password."),
        gettext_noop(
            "If it requires none, push smtp without username and password. "
            "Else ask its provider for a password sign-in."
        ),
    ),
    "sign_in_required": (
        gettext_noop("The mail server requires a sign-in."),
        gettext_noop("Push username and password in the smtp section."),
    ),
    "helo": (
        gettext_noop("The mail server rejected the name with which this server introduces itself."),
        gettext_noop("Your operator can set smtp.helo_name in instance.yaml to a host name that DNS knows."),
    ),
    "temporary": (
        gettext_noop("The mail server does not accept the email at the moment."),
        gettext_noop("Try again in a few minutes; some servers delay the first email of a new sender."),
    ),
    "authentication": (
        gettext_noop("The mail server did not accept the user name or password."),
        gettext_noop("Push both again."),
    ),
    "sender": (
        gettext_noop("The mail server does not accept this sender."),
        gettext_noop("Check from_email: it must belong to the user name."),
    ),
    "recipient": (
        gettext_noop("The mail server rejected the recipient."),
        gettext_noop("Check the email address; the server may not relay to it."),
    ),
    "content": (
        gettext_noop("The mail server rejected the email itself."),
        gettext_noop("Read its response; often it is a spam filter."),
    ),
    "protocol": (
        gettext_noop("The connection broke off, or the other end is not a mail server."),
        gettext_noop("Check host and port in the smtp section."),
    ),
    "no_server": (
        gettext_noop("This workspace has no mail server yet."),
        gettext_noop("Have the platform push host and sender in smtp."),
    ),
    "sealed": (
        gettext_noop(
            "The stored password of the mail server cannot be opened: this instance's secret key has changed."
        ),
        gettext_noop("Have the platform push the smtp section again, with its password."),
    ),
    "not_installed": (
        gettext_noop("This instance cannot send email."),
        gettext_noop("Your operator can install what is missing: pip install 'crm-core[smtp]'."),
    ),
    "unreadable": (
        gettext_noop("The settings of the mail server cannot be read."),
        gettext_noop("Push them again; the sync console says what is wrong with them."),
    ),
    "busy": (gettext_noop("Too many emails are being sent."), gettext_noop("Try again in a minute.")),
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

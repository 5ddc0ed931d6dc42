"""Why a letter was not delivered, told apart so that an admin knows which setting to look at."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal[
    "dns",
    "inside",
    "refused",
    "timeout",
    "tls",
    "authentication",
    "sender",
    "recipient",
    "content",
    "protocol",
    "busy",
    "not_installed",
    "no_server",
    "sealed",
]

_LONGEST: Final = 300
_WHAT: Final[dict[Kind, tuple[str, str]]] = {
    "dns": ("The server's name has no address.", "Check host in the smtp section for a slip, and the name's DNS."),
    "inside": (
        "The server's address lies inside this network, where mail may not go.",
        "Push a public host, or have an operator set smtp.allow_private_hosts.",
    ),
    "refused": ("The server refused the connection.", "Check port in the smtp section, and the server's firewall."),
    "timeout": ("The server did not answer in time.", "Check host and port, or push a longer timeout_seconds."),
    "tls": (
        "The connection could not be encrypted.",
        "Check security in the smtp section (tls is for port 465, starttls for 587), and the server's certificate.",
    ),
    "authentication": ("The server did not accept the user name or password.", "Push both anew."),
    "sender": ("The server does not let this sender through.", "Check from_email: it must belong to the user name."),
    "recipient": ("The server rejected the recipient.", "Check the mail address; the server may not relay to it."),
    "content": ("The server rejected the message itself.", "Its own words say why; its spam filter is a usual cause."),
    "protocol": ("The server broke off or spoke no SMTP.", "Check that host and port are those of a mail server."),
    "no_server": ("This workspace has no mail server yet.", "Have the platform push host and sender in smtp."),
    "sealed": (
        "The stored password of the mail server cannot be opened: this instance's secret key has changed.",
        "Have the platform push the smtp section anew, with its password.",
    ),
    "not_installed": (
        "This server has nothing to send mail with.",
        "An operator installs it: pip install 'crm-core[smtp]'.",
    ),
    "busy": ("Too many letters are under way.", "Try again in a minute."),
}


class MailTrouble(Exception):
    """A letter was not delivered. ``said``: the server's own words, shortened and printable; it holds no secret."""

    def __init__(self, kind: Kind, said: str = "") -> None:
        self.kind: Kind = kind
        self.what, self.mend = _WHAT[kind]
        self.said = "".join(c if c.isprintable() else " " for c in said)[:_LONGEST].strip()
        super().__init__(self.what)

"""The kind of failure of a mail server's reply (RFC 5321, section 4.2; RFC 4954; enhanced codes of RFC 3463)."""

from __future__ import annotations

import re
from typing import Final

from crm_core.mail.errors import FailureKind
from crm_core.mail.server import MailServer

_ENCRYPTION: Final = re.compile(r"\b(?:start[ _-]?tls|tls|ssl|encrypt\w*)\b", re.IGNORECASE)
_SIGN_IN: Final = re.compile(
    r"\b(?:auth|authenticat\w+|log[ -]?in|sign[ -]?in|relay\w* (?:access )?denied|unable to relay)\b", re.IGNORECASE
)
# Microsoft's 535 5.7.139 and 5.7.3: passwords are switched off, whichever is sent.
_PASSWORDS_OFF: Final = re.compile(
    r"\b5\.7\.139\b|basic authentication is disabled|SmtpClientAuthentication", re.IGNORECASE
)
_TEMPORARY: Final = range(400, 500)
_ENCRYPTION_REQUIRED: Final = 538
_SIGN_IN_REQUIRED: Final = 530
_UNKNOWN_MECHANISM: Final = 504
_TRANSITION_NEEDED: Final = 432  # RFC 4954: a new password has to be set with the provider first


def kind_of(code: int, text: str, phase: FailureKind, server: MailServer) -> FailureKind:
    """The kind of a refusal; ``phase`` is the kind if the reply does not say more."""
    wants_encryption = code == _ENCRYPTION_REQUIRED or _ENCRYPTION.search(text) is not None
    if server.security == "none" and phase != "content" and wants_encryption:
        return "unencrypted"
    if phase == "authentication":
        return _sign_in_refused(code, text)
    if code in _TEMPORARY:
        return "temporary"
    if (
        not server.signs_in
        and phase in ("sender", "recipient")
        and (code == _SIGN_IN_REQUIRED or _SIGN_IN.search(text))
    ):
        return "sign_in_required"
    return phase


def _sign_in_refused(code: int, text: str) -> FailureKind:
    if code == _UNKNOWN_MECHANISM or _PASSWORDS_OFF.search(text):
        return "no_sign_in"
    return "temporary" if code in _TEMPORARY and code != _TRANSITION_NEEDED else "authentication"

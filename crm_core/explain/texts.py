"""Ways in which the signed text may differ from the right one, and in which a MAC may be written."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from crm_core.explain.bodies import LINE_ENDS, TRAILING_NEWLINE, WRONG_PART
from crm_core.explain.cause import Cause
from crm_core.plugin.signature import Presented

UPPER_CASE, WRONG_ENCODING = "upper_case_hex", "wrong_encoding"
_FIXES = {
    TRAILING_NEWLINE: "Join the lines with nothing after the last: printf, not echo.",
    LINE_ENDS: "Join the lines by LF only.",
    UPPER_CASE: "Write hexadecimal in lower case.",
    WRONG_ENCODING: "Write it as the scheme requires: lower-case hexadecimal for crm-sync-v1, base64 for the others.",
    WRONG_PART: "Sign the text shown above, byte for byte.",
}


def other_texts(text: bytes, body: bytes, presented: Presented) -> Iterator[tuple[Cause, bytes]]:
    """Other texts that may have been signed."""
    digest = hashlib.sha256(body).hexdigest().encode()
    ended = _cause(TRAILING_NEWLINE, "The signed text ends with an extra line end.")
    yield ended, text + b"\n"
    yield ended, text + b"\r\n"
    yield _cause(LINE_ENDS, "The lines of the signed text are joined by CR LF."), text.replace(b"\n", b"\r\n")
    yield _cause(LINE_ENDS, "The lines are joined by a backslash and an n, not by LF."), text.replace(b"\n", b"\\n")
    yield _cause(UPPER_CASE, "The body's hash was signed in upper case."), text.replace(digest, digest.upper())
    encoded = base64.b64encode(hashlib.sha256(body).digest())
    yield _cause(WRONG_ENCODING, "The body's hash was signed as base64."), text.replace(digest, encoded)
    yield _cause(WRONG_PART, "The body itself was signed instead of its hash."), text.replace(digest, body)
    alone = _cause(WRONG_PART, "The body alone was signed.")
    yield alone, body
    yield alone, digest
    stamped = _cause(WRONG_PART, "Timestamp and body were signed, as other webhooks do.")
    yield stamped, f"{presented.timestamp}.".encode() + body


def _cause(code: str, words: str) -> Cause:
    return Cause(code, words, _FIXES[code])


def spellings(mac: bytes) -> Iterator[tuple[Cause | None, str]]:
    """The ways to write a MAC, with the cause; None for those that schemes use."""
    upper = _cause(UPPER_CASE, "The signature is written in upper-case hexadecimal.")
    form = _cause(WRONG_ENCODING, "The signature is written in another encoding.")
    yield None, mac.hex()
    yield None, base64.b64encode(mac).decode().rstrip("=")
    yield upper, mac.hex().upper()
    yield form, base64.urlsafe_b64encode(mac).decode().rstrip("=")
    yield form, base64.b64encode(mac.hex().encode()).decode()

"""The ways in which the text that was signed differs from the text that should have been, and how a MAC is written."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from crm_core.explain.bodies import LINE_ENDS, TRAILING_NEWLINE, WRONG_PART
from crm_core.explain.mistake import Mistake
from crm_core.plugin.signature import Presented

UPPER_CASE, WRONG_ENCODING = "upper_case_hex", "wrong_encoding"
_MENDS = {
    TRAILING_NEWLINE: "Join the lines, with nothing behind the last: printf, not echo.",
    LINE_ENDS: "Join the lines by LF alone.",
    UPPER_CASE: "Write hexadecimal in lower case.",
    WRONG_ENCODING: "Write it as the scheme says: the native one takes lower-case hexadecimal, the others base64.",
    WRONG_PART: "Sign the text that is shown, byte for byte.",
}


def other_texts(text: bytes, body: bytes, presented: Presented) -> Iterator[tuple[Mistake, bytes]]:
    """Texts that may have been signed in place of this one."""
    digest = hashlib.sha256(body).hexdigest().encode()
    ended = _mistake(TRAILING_NEWLINE, "The signed text ends in a line end that does not belong to it.")
    yield ended, text + b"\n"
    yield ended, text + b"\r\n"
    yield _mistake(LINE_ENDS, "The lines of the signed text are joined by CR LF."), text.replace(b"\n", b"\r\n")
    yield _mistake(LINE_ENDS, "The lines are joined by a backslash and an n, not by LF."), text.replace(b"\n", b"\\n")
    yield _mistake(UPPER_CASE, "The body's hash was signed in upper case."), text.replace(digest, digest.upper())
    encoded = base64.b64encode(hashlib.sha256(body).digest())
    yield _mistake(WRONG_ENCODING, "The body's hash was signed as base64."), text.replace(digest, encoded)
    yield _mistake(WRONG_PART, "The body itself was signed in place of its hash."), text.replace(digest, body)
    alone = _mistake(WRONG_PART, "The body alone was signed.")
    yield alone, body
    yield alone, digest
    stamped = _mistake(WRONG_PART, "Timestamp and body were signed, as other webhooks do.")
    yield stamped, f"{presented.timestamp}.".encode() + body


def _mistake(code: str, words: str) -> Mistake:
    return Mistake(code, words, _MENDS[code])


def spellings(mac: bytes) -> Iterator[tuple[Mistake | None, str]]:
    """The ways to write a MAC; None stands for those that schemes use. A verifier tells which of them is its own."""
    upper = _mistake(UPPER_CASE, "The signature is written in upper-case hexadecimal.")
    form = _mistake(WRONG_ENCODING, "The signature is written in another encoding.")
    yield None, mac.hex()
    yield None, base64.b64encode(mac).decode().rstrip("=")
    yield upper, mac.hex().upper()
    yield form, base64.urlsafe_b64encode(mac).decode().rstrip("=")
    yield form, base64.b64encode(mac.hex().encode()).decode()

"""A mail server's response without the password: servers repeat commands, and AUTH contains the password in base64."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from urllib.parse import quote, quote_plus

REDACTED: Final = "[redacted]"
_WINDOW: Final = 6  # characters: a shorter piece of a longer password is not recognized
_WORD: Final = 4  # characters: a shorter password is redacted only as a whole word, else half of the text would be
_LONGEST: Final = 4000
_DIGEST: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", re.IGNORECASE)
"""The answer of CRAM-MD5, from which a weak password can be guessed."""
_TOKEN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def redacted(response: str, username: str | None, password: str | None) -> str:
    """The response with ``[redacted]`` for each piece of the password, plain or encoded, regardless of case.

    Of encoded credentials the whole token is redacted, also if the server cut it off.
    """
    text = response[:_LONGEST]
    if not password:
        return text
    hidden = bytearray(len(text))
    lowered = _lower(text)
    for form in _plain_forms(password):
        for start, end in _matches(lowered, _lower(form)):
            hidden[start:end] = b"\1" * (end - start)
    for form in _tokens(username or "", password):
        for start, end in _matches(lowered, _lower(form)):
            first, last = _token_around(text, start, end)
            hidden[first:last] = b"\1" * (last - first)
    for digest in _DIGEST.finditer(text):
        hidden[digest.start() : digest.end()] = b"\1" * len(digest[0])
    return _replaced(text, hidden)


def _plain_forms(password: str) -> Iterator[str]:
    raw = password.encode()
    yield from {
        password,
        raw.decode("latin-1"),
        raw.decode("ascii", "surrogateescape"),
        quote(password, safe=""),
        quote_plus(password),
        html.escape(password),
        json.dumps(password)[1:-1],
        raw.hex(),
    }


def _tokens(username: str, password: str) -> Iterator[str]:
    """The base64 of PLAIN (RFC 4616), LOGIN and CRAM-MD5 (RFC 2195; it begins with the user name)."""
    yield b64encode(f"\0{username}\0{password}".encode()).decode().rstrip("=")
    yield b64encode(f"{username}\0{username}\0{password}".encode()).decode().rstrip("=")
    yield b64encode(password.encode()).decode().rstrip("=")
    answer = f"{username} ".encode()
    yield b64encode(answer[: len(answer) // 3 * 3]).decode()


def _lower(text: str) -> str:
    """The text in lower case, character by character, so that places stay the same."""
    return "".join(char.lower()[0] for char in text)


def _matches(text: str, form: str) -> Iterator[tuple[int, int]]:
    """The places of the form in the text, or of pieces as long as the window."""
    length = min(len(form), _WINDOW)
    for start in range(len(text) - length + 1 if length else 0):
        end = start + length
        if text[start:end] in form and (length >= _WORD or _is_word(text, start, end)):
            yield start, end


def _is_word(text: str, start: int, end: int) -> bool:
    return not (text[:start][-1:].isalnum() or text[end : end + 1].isalnum())


def _token_around(text: str, start: int, end: int) -> tuple[int, int]:
    while start > 0 and text[start - 1] in _TOKEN:
        start -= 1
    while end < len(text) and text[end] in _TOKEN:
        end += 1
    return start, end


def _replaced(text: str, hidden: bytearray) -> str:
    edges = [at for at in range(len(text)) if at == 0 or hidden[at] != hidden[at - 1]]
    return "".join(REDACTED if hidden[start] else text[start:end] for start, end in pairwise([*edges, len(text)]))

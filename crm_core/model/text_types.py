"""Types of text for sections and records: lines, paragraphs, email addresses, https URLs, whole numbers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from crm_core.model.domains import is_address, is_domain

# A `$` would let a final newline through; `\Z` does not.
_LINE = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
PARAGRAPHS = r"\A[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*\Z"
# Letters and digits of ASCII and all beyond it; ``is_address`` knows which of those may be in a domain. Classes are
# negated: with a range up to the last code point, tools that make examples of a pattern need forty times as long.
_LETTER = r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xa0]"
_INNER = r"[^\x00-\x2c\x2f\x3a-\x40\x5b-\x60\x7b-\xa0]"
_EMAIL = rf"\A[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LETTER}(?:{_INNER}{{0,188}}{_LETTER})?\Z"

Line = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=_LINE, description="text of 1 to 200 characters on one line")
]
Paragraphs = Annotated[
    str, Meta(max_length=2000, pattern=PARAGRAPHS, description="text of up to 2,000 characters, no control characters")
]
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=_EMAIL,
        description="an email address such as info@example.com",
        extra={"check": is_address},
    ),
]

URL_LENGTH = 2048
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f-\x9f\s<>\"\\^`{|}]")


def https_trouble(url: str) -> str | None:
    """Why a text is not an https URL (RFC 3986, no userinfo), as a sentence; None if it is one."""
    if len(url) > URL_LENGTH:
        return f"The URL is longer than {URL_LENGTH} characters; shorten it."
    return _https_trouble(url)


@lru_cache(maxsize=256)  # pushes repeat their URLs
def _https_trouble(url: str) -> str | None:
    if _NOT_IN_URLS.search(url):
        return "The URL contains a character that is not allowed in URLs; percent-encode it."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "This is not a URL; write it like https://example.com/path."
    if parts.scheme != "https" or not host:
        return "The URL must begin with https:// and a host name."
    if not is_domain(host):
        return "The host name of the URL is not valid; write it as people type it, or in its xn-- form."
    if "@" in parts.netloc:
        return "The URL must not contain a user name or password; leave out the part before the @."
    return None


def plain_integer(text: str, *, least: int, most: int) -> int | None:
    """The whole number from ``least`` to ``most`` in ASCII digits; None for every other text.

    ``int`` alone also reads spaces, underscores and the digits of other scripts, and raises past 4,300 digits.
    """
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and least <= number <= most else None

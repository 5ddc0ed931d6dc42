"""Search words, folded alike in records and in queries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"[+(]*[0-9][0-9 ()./-]*")


def folded(text: str) -> tuple[str, ...]:
    """The words of a text in lower case without accents, split at punctuation and space."""
    if text.isascii():
        return tuple(_WORD.findall(text.lower()))
    plain = unicodedata.normalize("NFKD", text).casefold()
    return tuple(_WORD.findall("".join(each for each in plain if not unicodedata.combining(each))))


def index_words(texts: Iterable[str | None]) -> tuple[str, ...]:
    """The distinct words that find a record; a phone number also as its digits without separators."""
    found: dict[str, None] = {}
    for text in texts:
        if text:
            found |= dict.fromkeys(folded(text))
            if _NUMBER.fullmatch(text):
                found["".join(filter(str.isdigit, text))] = None
    return tuple(found)

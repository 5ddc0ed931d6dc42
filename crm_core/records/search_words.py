"""Words of a search: folded alike in what is kept and in what is asked for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"[+(]*[0-9][0-9 ()./-]*")


def folded(text: str) -> tuple[str, ...]:
    """The words of a text: without case and accents, cut at everything that is no letter or digit."""
    if text.isascii():
        return tuple(_WORD.findall(text.lower()))
    plain = unicodedata.normalize("NFKD", text).casefold()
    return tuple(_WORD.findall("".join(each for each in plain if not unicodedata.combining(each))))


def index_words(texts: Iterable[str | None]) -> tuple[str, ...]:
    """Every word that a record is found by, once; a telephone number also as its digits without gaps."""
    found: dict[str, None] = {}
    for text in texts:
        if text:
            found |= dict.fromkeys(folded(text))
            if _NUMBER.fullmatch(text):
                found["".join(filter(str.isdigit, text))] = None
    return tuple(found)

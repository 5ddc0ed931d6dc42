"""Texts that people write: cleaned on input, and folded to search and sort without case and accents.

Input, filters, sorting and search use the same functions, so they agree.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

# No-break and zero-width characters that str.strip() leaves: they are invisible, and come along with pasted text.
_ZERO_WIDTH: Final = "\u00ad\u034f\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that show nothing
_OUTER: Final = re.compile(rf"\A[\s{_ZERO_WIDTH}]+|[\s{_ZERO_WIDTH}]+\Z")
_LONG: Final = 500  # characters from which a text is searched for runs of marks
_MOST_MARKS: Final = 30  # in a row, as in the Stream-Safe Text Format (UAX #15, section 13)
_RUN: Final = re.compile(rf"(?:[^\w\x00-\x7f]|[\uff9e\uff9f]){{{_MOST_MARKS + 1},}}")
_JOINER: Final = "\u034f"
_STROKES: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)


def composed(text: str) -> str:
    """The text in normal form C."""
    return text if text.isascii() else _normal("NFC", text)


def _normal(form: Literal["NFC", "NFD", "NFKD"], text: str) -> str:
    """The text in a normal form, with a joiner after every 30 marks in a row.

    Normalizing takes time with the square of the marks in a row: with a megabyte of them, hours.
    """
    return unicodedata.normalize(form, _RUN.sub(_joined, text) if len(text) > _LONG else text)


def _joined(run: re.Match[str]) -> str:
    found, marks = list[str](), 0
    for char in run[0]:
        marks = marks + 1 if _is_mark(char) else 0
        if marks > _MOST_MARKS:
            found.append(_JOINER)
            marks = 1
        found.append(char)
    return "".join(found)


def _is_mark(char: str) -> bool:
    return unicodedata.combining(char) > 0 or unicodedata.combining(unicodedata.normalize("NFKD", char)[0]) > 0


def one_line(text: str) -> str:
    """The text in normal form C without white space, no-break and zero-width characters at both ends."""
    if text.isascii():
        return text.strip()
    return _OUTER.sub("", _normal("NFC", text))


def is_visible(text: str) -> bool:
    """Whether a text shows anything: a character that is no space, control, format or combining one."""
    if text[:1].isalnum() and text.isascii():  # most begin so
        return True
    return any(unicodedata.category(char)[0] not in "ZCM" and char not in _BLANK_LETTERS for char in text)


def caseless(text: str) -> str:
    """The text for comparing without regard to case and normal form."""
    if text.isascii():
        return text.lower()
    return _normal("NFC", _normal("NFD", text).casefold())


def folded(text: str) -> str:
    """The text without case, accents and strokes, for sorting and searching: ł is l, æ is ae, ß is ss."""
    if text.isascii():
        return text.lower()
    plain = _normal("NFKD", _normal("NFKD", text).casefold()).translate(_STROKES)
    return "".join(char for char in plain if not unicodedata.combining(char))


def sort_key(text: str) -> str:
    """The text for sorting without regard to case and accents; among equals code points decide."""
    return f"{folded(text)}\0{text}"

"""Search words: the values that a record is found by, and the terms that a query consists of.

A value is a folded word; or, behind a mark that no word begins with, the digits of a phone number, a run of Chinese,
Japanese or Korean characters, or all the signs between words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Final

from crm_core.model.folded_text import composed, folded
from crm_core.plugin.query import Term

_PHONE, _RUN, _SIGNS = "#", "*", "~"
_CJK: Final = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u318f"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_WORD: Final = re.compile(r"([^\W_]+)")  # a split returns the words too
_NUMBER: Final = re.compile(r"[\d +()./,;#*\-\u2010-\u2015\xa0\u202f]+")
_ASIDE: Final = re.compile(r"\(0+")  # the trunk prefix, as in +49 (0) 711 and +49 (0711)
_FEWEST_DIGITS: Final = 4  # that find a phone number inside


def texts_of(values: Iterable[object]) -> list[str]:
    """The texts in values of searched members."""
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            found += texts_of(value)
    return found


def search_values(texts: Iterable[str | None], phones: Iterable[str | None] = ()) -> tuple[str, ...]:
    """The distinct values that a record with these texts is found by; ``phones`` are among the texts."""
    found: list[str] = []
    signs: list[str] = []
    for text in texts:
        if text:
            words, between = _words_and_signs(text)
            found += words
            signs += between
    for phone in phones:
        if phone:
            found.append(_PHONE + _digits(phone))
            if "(" in phone:
                found.append(_PHONE + _digits(_ASIDE.sub("(", phone)))
    if signs:
        found.append(_SIGNS + "\n".join(dict.fromkeys(signs)))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)  # a change of a record leaves most of its texts, and many records share some
def _words_and_signs(text: str) -> tuple[list[str], list[str]]:
    """The folded words and marked runs of a text, and the signs between its words."""
    if text.isascii():  # most are: the same in one step
        pieces = _WORD.split(folded(text))
        words, between = pieces[1::2], pieces[::2]
    else:
        words = [_RUN + part if is_run else part for part, is_run in _parts(text)]
        between = _WORD.split(composed(text))[::2]
    return words, [each for piece in between if (each := piece.strip())]


def search_terms(q: str) -> tuple[Term, ...]:
    """The terms that must all find a record; none if ``q`` is blank."""
    q = composed(q).strip()
    if not q:
        return ()
    if _NUMBER.fullmatch(q) and (number := _number(q, _digits(q))) is not None:
        return (number,)
    parts = (Term(inside=(_RUN, part)) if is_run else _word(part) for part, is_run in _parts(q))
    terms = tuple(dict.fromkeys(parts))
    return terms or (Term(inside=(_SIGNS, q)),)


def same_number(one: str, other: str) -> bool:
    """Whether two telephone numbers are the same, even if only one has the codes of its country and area."""
    mine, theirs = _dialled(one), _dialled(other)
    if min(len(mine), len(theirs)) < _FEWEST_DIGITS:
        return mine == theirs
    return mine.endswith(theirs) or theirs.endswith(mine)


def _word(part: str) -> Term:
    return (_number(part, part) if part.isdecimal() else None) or Term(part)


def _number(text: str, prefix: str) -> Term | None:
    """The term of a telephone number, or of words that begin with ``prefix``; None if it has too few digits for one."""
    digits = _digits(text)
    if len(digits) < _FEWEST_DIGITS:
        return None
    return Term(prefix, inside=(_PHONE, _dialled(text) or digits))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The folded words of a text, and its runs of Chinese, Japanese or Korean characters, which are marked by True."""
    plain = folded(text)
    if plain.isascii():
        yield from ((word, False) for word in _WORD.findall(plain))
        return
    for found in _pattern().finditer(plain):
        yield found[0], found["run"] is not None


@cache  # compiled for the first text that needs it: its large sets take longer than all other patterns of the start
def _pattern() -> re.Pattern[str]:
    return re.compile(rf"(?P<run>[{_CJK}]+)|(?P<word>[^\W_{_CJK}]+)")


def _digits(text: str) -> str:
    if text.isascii():
        return "".join(filter(str.isdigit, text))
    return "".join(str(int(each)) for each in text if each.isdecimal())


def _dialled(text: str) -> str:
    """The digits of a number as sought: without a leading 0 or 00, which belong to how it is dialled."""
    digits = _digits(_ASIDE.sub("(", text))
    return digits[2:] if digits.startswith("00") else digits.removeprefix("0")

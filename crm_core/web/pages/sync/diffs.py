"""Two JSON values side by side: lines with the words that differ, and equal runs folded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final, NamedTuple

import msgspec

_CONTEXT: Final = 2
_TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]")
_LONGEST: Final = 400  # characters of a line that are compared word by word


class Piece(NamedTuple):
    """A part of a line; ``marked``: it differs."""

    text: str
    marked: bool = False


class Half(NamedTuple):
    """One side of a line."""

    number: int
    pieces: tuple[Piece, ...]


class DiffLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of both sides, of one if it was added or removed; or a number of folded equal lines."""

    old: Half | None = None
    new: Half | None = None
    changed: bool = False
    folded: int = 0


class Diff(msgspec.Struct, frozen=True):
    """The lines of a diff and the titles of its sides."""

    before: str
    after: str
    lines: tuple[DiffLine, ...]


def lines_of(value: Any) -> list[str]:
    """A JSON value as indented lines, its members sorted."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def diff_of(before: Any, after: Any, titles: tuple[str, str]) -> Diff:
    """The diff of two JSON values."""
    old, new = lines_of(before), lines_of(after)
    found: list[DiffLine] = []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pairs = list(zip(range(i, i_end), range(j, j_end), strict=True))
            found += _equal(old, pairs, first=i == 0 and j == 0, last=i_end == len(old) and j_end == len(new))
        else:
            found += _changed(old, new, range(i, i_end), range(j, j_end))
    return Diff(*titles, tuple(found))


def _equal(old: Sequence[str], pairs: list[tuple[int, int]], *, first: bool, last: bool) -> Iterator[DiffLine]:
    head, tail = (0 if first else _CONTEXT), (0 if last else _CONTEXT)
    if len(pairs) <= head + tail + 1:
        head, tail = len(pairs), 0
    for at, (i, j) in enumerate(pairs):
        if at < head or at >= len(pairs) - tail:
            text = (Piece(old[i]),)
            yield DiffLine(old=Half(i + 1, text), new=Half(j + 1, text))
        elif at == head:
            yield DiffLine(folded=len(pairs) - head - tail)


def _changed(old: Sequence[str], new: Sequence[str], gone: range, come: range) -> Iterator[DiffLine]:
    for at in range(max(len(gone), len(come))):
        i = gone[at] if at < len(gone) else None
        j = come[at] if at < len(come) else None
        if i is not None and j is not None:
            left, right = _words(old[i], new[j])
            yield DiffLine(old=Half(i + 1, left), new=Half(j + 1, right), changed=True)
        elif i is not None:
            yield DiffLine(old=Half(i + 1, (Piece(old[i]),)), changed=True)
        elif j is not None:
            yield DiffLine(new=Half(j + 1, (Piece(new[j]),)), changed=True)


def _words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    if max(len(old), len(new)) > _LONGEST:
        return (Piece(old, marked=True),), (Piece(new, marked=True),)
    one, other = _TOKEN.findall(old), _TOKEN.findall(new)
    left, right = [], []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        differs = kind != "equal"
        if i < i_end:
            left.append(Piece("".join(one[i:i_end]), differs))
        if j < j_end:
            right.append(Piece("".join(other[j:j_end]), differs))
    return tuple(left), tuple(right)

"""Values as people type them: which sign begins the decimals, what has two readings, where a text of several ends."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

_AMBIGUOUS: Final = re.compile(r"([+-]?[1-9][0-9]*)[.,]([0-9]{3})")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def plain_decimal(text: str) -> str:
    """A number with a point before its decimals, where a comma began them; any other text as it is."""
    if text.count(",") == 1 and "." not in text:
        return _ungrouped(text).replace(",", ".")
    return text


def plain_number(text: str) -> float | str:
    """The number that a text is; the text itself if it is none, so that the member's type refuses it."""
    plain = plain_decimal(text)
    if not _PLAIN.fullmatch(plain):  # float() reads 1_000, nan and infinity too
        return text
    number = float(plain)
    return number if math.isfinite(number) else text


def two_readings(label: str, text: str) -> str | None:
    """The sentence that refuses a number whose only separator may group thousands or begin decimals.

    ``12,500`` is 12500 in one country and 12.5 in another, ``12.500`` likewise; ``0,500`` and ``12,50`` are clear.
    None if there is one reading.
    """
    typed = text.strip()
    found = _AMBIGUOUS.fullmatch(_ungrouped(typed))
    if found is None:
        return None
    whole, rest = found.groups()
    decimal = f"{whole}.{rest[:2]}" if rest.endswith("0") else f"{whole}.{rest}0"
    return f"{label}: {typed} is ambiguous. Write {whole}{rest} or {decimal}."


def separate_texts(text: str, stored: Iterable[str]) -> list[str]:
    """The texts between commas; one of ``stored`` that contains commas itself stays whole."""
    parts = [part.strip() for part in text.split(",")]
    whole = {tuple(part.strip() for part in one.split(",")): one for one in stored if "," in one}
    sizes = sorted({len(one) for one in whole}, reverse=True)
    found: list[str] = []
    while parts:
        size = next((size for size in sizes if tuple(parts[:size]) in whole), 1)
        found.append(whole.get(tuple(parts[:size]), parts[0]))
        del parts[:size]
    return [one for one in found if one]


def _ungrouped(text: str) -> str:
    return re.sub(r"\s", "", text)

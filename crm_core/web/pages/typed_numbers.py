"""Numbers as people type them: which sign begins the decimals, and which texts can be read in two ways."""

from __future__ import annotations

import math
import re
from typing import Final

_AMBIGUOUS: Final = re.compile(r"([+-]?[1-9][0-9]*)[.,]([0-9]{3})")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


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
    return f"{label}: write {whole}{rest} or {decimal}; {typed} can be read in two ways."


def _ungrouped(text: str) -> str:
    return re.sub(r"\s", "", text)

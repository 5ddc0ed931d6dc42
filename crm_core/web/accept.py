"""Content negotiation: which media type or content coding a request's Accept fields prefer (RFC 9110, section 12.5).

Everything here is available in UTF-8 and in one form, so parameters of a media range (``charset``, ``profile``) select
nothing: a range matches by its type. Weights are read leniently, as servers do: ``q=.2`` and ``q=1.5`` are sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# A comma or semicolon inside a quoted string separates nothing. No alternative can fail once begun: linear time.
_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER: Final = re.compile(r';((?:[^;"]|"(?:[^"\\]|\\.)*"?)*)')
_WEIGHT: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
_ANY: Final = "*/*"


def preferred(fields: Sequence[str], offered: Sequence[str]) -> str | None:
    """The media type of ``offered`` that the Accept ``fields`` prefer; None if they accept none of them.

    Without a field the first is. The most specific range decides about a type; between types of the same weight the
    one that is named more specifically is chosen, then the one that is offered first.
    """
    ranges = _weights(fields)
    if not ranges:
        return offered[0]
    ranges.setdefault(_ANY, ranges.get("*", 0.0))  # Java's HttpURLConnection sends a bare asterisk
    best, chosen = (0.0, 0), None
    for each in offered:
        rank = _rank(each, ranges)
        if rank[0] > 0 and rank > best:
            best, chosen = rank, each
    return chosen


def prefers_gzip(fields: Sequence[str]) -> bool:
    """Whether the Accept-Encoding ``fields`` accept gzip, and prefer no answer without a content coding."""
    codings = _weights(fields)
    rest = codings.get("*", 0.0)
    weight = codings.get("gzip", rest)
    return weight > 0 and weight >= codings.get("identity", rest)


def _rank(media_type: str, ranges: dict[str, float]) -> tuple[float, int]:
    """The weight of a media type, by the most specific range that matches it, and how specific that is."""
    matching = ((2, media_type), (1, f"{media_type.partition('/')[0]}/*"), (0, _ANY))
    return next((ranges[each], specific) for specific, each in matching if each in ranges)


def _weights(fields: Sequence[str]) -> dict[str, float]:
    """Each named range with its weight; of ranges that differ in parameters only, the highest."""
    weights: dict[str, float] = {}
    if not fields:
        return weights
    for element in _ELEMENT.findall(",".join(fields)):
        name = element.partition(";")[0].strip(" \t").lower()
        if name:
            weights[name] = max(weights.get(name, 0.0), _weight(element))
    return weights


def _weight(element: str) -> float:
    """The ``q`` of an element from 0 to 1: 1 without one, 0 if it is not a number."""
    for parameter in _PARAMETER.findall(element):
        name, equals, value = parameter.partition("=")
        if equals and name.strip(" \t").lower() == "q":
            text = value.strip(" \t")
            return min(float(text), 1.0) if _WEIGHT.fullmatch(text) else 0.0
    return 1.0

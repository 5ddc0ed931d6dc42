"""Values as people type them: texts into the JSON of their member, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from crm_core.model.text_types import plain_integer
from crm_core.plugin.member import Member

_AMBIGUOUS: Final = re.compile(r"([+-]?[1-9][0-9]*)[.,]([0-9]{3})")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def parsed(member: Member, text: str) -> Any:
    """The JSON value of a text; a text that is no such value is returned, so that the member's type refuses it."""
    plain = text.strip()
    if member.kind == "flag":
        return plain == "true"
    if member.kind == "texts":
        return separate_texts(text, ())
    if not plain:
        return None
    if member.kind == "integer":
        number = plain_integer(plain, least=-(2**63), most=2**63 - 1)
        return plain if number is None else number
    if member.kind == "number":
        return _number(plain)
    if member.kind == "decimal":
        return _plain_decimal(plain)
    if member.kind == "currency":
        return plain.upper()
    return text if member.kind == "paragraphs" else plain


def as_text(member: Member, value: Any) -> str:
    """A stored value as its field shows it."""
    if value is None:
        return ""
    if member.kind == "texts":
        return ", ".join(value)
    if member.kind == "entries":
        return entries_text({name: free_text(inner) for name, inner in value.items() if inner is not None})
    return ("true" if value else "") if member.kind == "flag" else str(value)


def free_text(value: Any) -> str:
    """A value of a free object as text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def entries_text(entries: Mapping[str, str]) -> str:
    """The entries of a free object as the one text of a form, which is JSON."""
    return msgspec.json.encode(entries, order="sorted").decode() if entries else ""


def entries_of(text: str) -> dict[str, str]:
    """The entries in a text of a form; none if an address or a forged form contains something else."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def entries_patch(text: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch of a free object: an entry whose text is unchanged keeps its type, a missing one is null."""
    wanted = entries_of(text)
    patch: dict[str, Any] = dict.fromkeys(name for name in stored if name not in wanted)
    for name, value in wanted.items():
        patch[name] = stored[name] if name in stored and free_text(stored[name]) == value else value
    return patch


def ambiguity(label: str, text: str) -> str | None:
    """The message for a number whose only separator may group thousands or begin decimals; None if it is clear.

    ``12,500`` is 12500 in one country and 12.5 in another, ``12.500`` likewise; ``0,500`` and ``12,50`` are clear.
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


def _plain_decimal(text: str) -> str:
    """A number with a point before its decimals if a comma began them; any other text unchanged."""
    if text.count(",") == 1 and "." not in text:
        return _ungrouped(text).replace(",", ".")
    return text


def _number(text: str) -> float | str:
    plain = _plain_decimal(text)
    if not _PLAIN.fullmatch(plain):  # float() reads 1_000, nan and infinity too
        return text
    number = float(plain)
    return number if math.isfinite(number) else text


def _ungrouped(text: str) -> str:
    return re.sub(r"\s", "", text)

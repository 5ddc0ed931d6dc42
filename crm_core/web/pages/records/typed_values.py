"""Values as people type them: texts into the JSON of their member, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from crm_core.language import gettext
from crm_core.model.text_types import plain_integer
from crm_core.model.times import from_wire, is_moment, to_wire
from crm_core.plugin.member import Member
from crm_core.web.pages.layout.formats import Formats, RegionalFormat
from crm_core.web.pages.layout.labels import member_label
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.typed_dates import NoSuchDay, read_days
from crm_core.web.pages.records.typed_numbers import clear, read_amount, readings

_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_POWER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]+")
OF_ANOTHER_FORM: Final = (AttributeError, TypeError, ValueError, ArithmeticError)
"""The errors of reading a stored value by a kind that the member had not when it was stored."""
_UNUSUAL: Final = 3
"""Decimals that no common currency has."""
_LONGEST: Final = 40
"""A longer text is no number and no date."""


class TypedValue(NamedTuple):
    """A text as the value of its member.

    ``value``: JSON; a text that is no such value stays, so that the member's type refuses it. ``echo``: the value in
    full, for what is read by rules. ``currency``: the code that an amount names. ``question``: the clear texts of both
    readings, and each in full. ``error``: a sentence, empty if the text is clear.
    """

    value: Any
    echo: str = ""
    currency: str | None = None
    question: tuple[Option, ...] = ()
    error: str = ""


def read(member: Member, text: str, formats: Formats, currency: str | None = None) -> TypedValue:
    """Read a text by the kind of its member and the tenant's locale; ``currency`` is that of the record's amounts."""
    plain = text.strip()
    if member.kind == "flag":
        return TypedValue(plain == "true")
    if member.kind == "texts":
        return TypedValue(separate_texts(text, ()))
    if not plain:
        return TypedValue(None)
    if len(plain) > _LONGEST:
        return TypedValue(text if member.kind == "paragraphs" else plain)
    if member.kind in ("integer", "number", "decimal"):
        return _read_number(member, plain, formats.regional, currency)
    if member.kind == "date":
        return _read_day(member, plain, formats)
    if member.kind == "moment":
        return _read_moment(member, plain, formats)
    if member.kind == "currency":
        return TypedValue(plain.upper())
    return TypedValue(text if member.kind == "paragraphs" else plain)


def as_text(member: Member, value: Any, regional: RegionalFormat) -> str:
    """A stored value as its field shows it; as it is stored if it has another form, from before the type changed."""
    try:
        return "" if value is None else _typed_text(member, value, regional)
    except OF_ANOTHER_FORM:
        return free_text(value)


def _typed_text(member: Member, value: Any, regional: RegionalFormat) -> str:
    if member.kind == "texts":
        return ", ".join(value)
    if member.kind == "entries":
        return entries_text({name: free_text(inner) for name, inner in value.items() if inner is not None})
    if member.kind == "date":
        return regional.day(date.fromisoformat(value))
    if member.kind == "moment":
        local = regional.local(from_wire(value))
        return f"{regional.day(local.date())} {local:%H:%M}"
    if member.kind in ("integer", "number", "decimal"):
        return regional.typed(str(value))
    return ("true" if value else "") if member.kind == "flag" else plain_lines(str(value))


def plain_lines(text: str) -> str:
    """A text with LF alone as line end: browsers send CR LF for each, whichever the text had."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def free_text(value: Any) -> str:
    """A value of a free object as text."""
    return plain_lines(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


def entries_text(entries: Mapping[str, str]) -> str:
    """The entries of a free object as the one text of a form, which is JSON."""
    return msgspec.json.encode(entries, order="sorted").decode() if entries else ""


def entries_of(text: str) -> dict[str, str]:
    """The entries in a text of a form; none if an address or a forged form contains something else."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def sent_entries(pairs: Iterable[tuple[str, str]], most: int) -> str:
    """The text of a form's pairs of name and value. A name that is blank, or there already, gets spaces at its end."""
    found: dict[str, str] = {}
    for sent, value in pairs:
        name = sent.strip()
        if not name and not value.strip():
            continue
        while name in found:
            name += " "
        found[name] = plain_lines(value)
    return entries_text(dict(islice(found.items(), most)))


def entries_error(text: str, stored: Mapping[str, str]) -> str:
    """The sentence about a value without a name, or a name that is there twice; empty if there is none.

    The value of a stored entry whose name was cleared is no error: this is how the entry is removed.
    """
    entries = entries_of(text)
    removed = {value for name, value in stored.items() if name not in entries}
    for name, value in entries.items():
        if not name.strip() and name not in stored and value not in removed:
            return gettext("Enter a field for the value “{value}”.", value=value)
        if name != name.strip() and name.strip() in entries and name not in stored:
            return gettext("The field “{name}” is there twice. Remove one of them.", name=name.strip())
    return ""


def entries_patch(text: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch of a free object: an entry whose text is unchanged keeps its type, a missing one is null."""
    wanted = {name: value for name, value in entries_of(text).items() if name.strip() or name in stored}
    patch: dict[str, Any] = dict.fromkeys(name for name in stored if name not in wanted)
    for name, value in wanted.items():
        patch[name] = stored[name] if name in stored and free_text(stored[name]) == value else value
    return patch


def separate_texts(text: str, stored: Iterable[str]) -> list[str]:
    """The texts between commas; one of ``stored`` that contains commas itself stays whole. Exports may have JSON."""
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=list[str])
    parts = [part.strip() for part in text.split(",")]
    whole = {tuple(part.strip() for part in one.split(",")): one for one in stored if "," in one}
    sizes = sorted({len(one) for one in whole}, reverse=True)
    found, at = list[str](), 0
    while at < len(parts):
        size = next((size for size in sizes if tuple(parts[at : at + size]) in whole), 1)
        found.append(whole.get(tuple(parts[at : at + size]), parts[at]))
        at += size
    return [one for one in found if one]


def _read_number(member: Member, text: str, regional: RegionalFormat, currency: str | None) -> TypedValue:
    found: tuple[str, ...] = (text,)
    named: str | None = None
    if member.kind == "decimal":
        found, named = read_amount(text, regional)
    elif not _POWER.fullmatch(text):
        found = readings(text, regional.thousands)
    if member.kind == "integer":  # of two readings one is no whole number
        found = tuple(number for number in found if "." not in number)
    shown = [_shown(member, number, regional, named or currency) for number in found]
    if len(found) > 1:
        options = tuple(Option(clear(number), each) for number, each in zip(found, shown, strict=True))
        return TypedValue(text, currency=named, question=options, error=_ask(member))
    return TypedValue(_number(member, found[0]), shown[0], named) if found else TypedValue(text)


def _ask(member: Member) -> str:
    return gettext("{label} can be read in two ways. Which do you mean?", label=member_label(member))


def _shown(member: Member, number: str, regional: RegionalFormat, currency: str | None) -> str:
    """A plain number in full; decimals that are unusual are pointed out."""
    is_amount = member.kind == "decimal" and len(number) <= (member.max_length or _LONGEST)
    shown = regional.exact_money(number, currency) if is_amount else regional.typed(number)
    return (
        gettext("{number}, with three decimals", number=shown) if len(number.partition(".")[2]) == _UNUSUAL else shown
    )


def _number(member: Member, text: str) -> Any:
    """The JSON value of a plain number."""
    if member.kind == "decimal":
        return text
    if member.kind == "integer":
        number = plain_integer(text, least=-(2**63), most=2**63 - 1)
        return text if number is None else number
    found = float(text)
    return found if math.isfinite(found) else text


def _read_moment(member: Member, text: str, formats: Formats) -> TypedValue:
    """A day with the time of day after it, in the workspace's time zone; ``now`` and times of the wire as well."""
    if text.casefold() in ("now", gettext("now")):
        return TypedValue(to_wire(formats.now), formats.full_day(formats.now.date()))
    if is_moment(text):
        return TypedValue(text)
    typed_day, _, clock = text.rpartition(" ")
    found = _CLOCK.fullmatch(clock)
    day = _read_day(member, typed_day, formats)
    if found is None or not day.echo:
        question = tuple(Option(f"{one.value} {clock}", f"{one.text}, {clock}") for one in day.question if found)
        return TypedValue(text, question=question, error=day.error)
    at = datetime.combine(date.fromisoformat(day.value), time(int(found[1]), int(found[2])), formats.regional.zone)
    try:
        stored = to_wire(at)
    except OverflowError:  # before the year 1 or after 9999 in UTC
        return TypedValue(text)
    local = formats.regional.local(from_wire(stored))  # later than typed if the clock skips that time
    return TypedValue(stored, f"{formats.full_day(local.date())}, {local:%H:%M}")


def _read_day(member: Member, text: str, formats: Formats) -> TypedValue:
    try:
        days = read_days(text, formats.regional, formats.now.date())
    except NoSuchDay as error:
        example = gettext("Enter a date such as {date}.", date=formats.regional.day(formats.now.date()))
        return TypedValue(text, error=f"{error} {example}")
    if len(days) > 1:
        question = tuple(Option(day.isoformat(), formats.full_day(day)) for day in days)
        return TypedValue(text, question=question, error=_ask(member))
    return TypedValue(days[0].isoformat(), formats.full_day(days[0])) if days else TypedValue(text)

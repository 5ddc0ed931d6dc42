"""The errors of a refused push in words: a headline from the first one, and a list with their places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from crm_core.language import ENGLISH, current, gettext, localized
from crm_core.model.diff import steps_of
from crm_core.model.log import LogEntry, LoggedFinding
from crm_core.web.pages.sync.names import place_title
from crm_core.web.pages.sync.remedies import remedy_of

_SUBJECT: Final = re.compile(r"This (?:member |value |number |text )?(?=(?:must|is|has|does|cannot|may|needs) )")
_SENTENCE: Final = re.compile(r"(.+?)[.!]?(?:(?<=[.!])\s.*)?", re.DOTALL)
_ENVELOPE: Final = "data"  # the member of the envelope that contains the payload


class FindingText(msgspec.Struct, frozen=True):
    """An error of a push. ``title``: it in words, with the names that lead to its place; ``fix`` may be empty."""

    title: str
    pointer: str
    code: str
    fix: str


def headline_of(entry: LogEntry) -> str:
    """Why an attempt was refused: its first error and how many follow, or the cause; empty if it was not refused."""
    if entry.errors:
        title, more = _title(entry.errors[0]), len(entry.errors) - 1
        return gettext("{finding}, and {n} more", finding=title, n=more) if more else title
    remedy = remedy_of(entry)
    return remedy.title if remedy else ""


def findings_of(entry: LogEntry) -> Iterator[FindingText]:
    """The logged errors of an attempt, in order."""
    for one in entry.errors or ():
        message = localized(one.message)
        fix = message.removeprefix(first_sentence(message)).lstrip(".! ")
        yield FindingText(_title(one), one.pointer or "/", one.code, fix)


def first_sentence(text: str) -> str:
    """The first sentence, without its period."""
    found = _SENTENCE.fullmatch(text)
    return found[1] if found else text


def lower_first(text: str) -> str:
    """The text to follow a colon: in lower case, as English has it."""
    if current() is not ENGLISH:
        return text
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def _title(finding: LoggedFinding) -> str:
    steps = steps_of(finding.pointer)
    place = place_title(steps[1:] if steps[:1] == (_ENVELOPE,) else steps)
    sentence = first_sentence(localized(finding.message))
    if not place:
        return sentence
    if current() is not ENGLISH:
        return f"{place}: {sentence}"
    rest = _SUBJECT.sub("", sentence, count=1)
    return f"{place} {rest}" if rest != sentence else f"{place}: {lower_first(sentence)}"

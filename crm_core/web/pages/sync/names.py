"""Names of what is pushed, as pages show them: payload types and the members of their sections."""

from __future__ import annotations

from typing import Final

from crm_core.language import ENGLISH, current, gettext, label_of, noun

PUSHED: Final = "push"
"""The context of names of members in catalogues."""
_WITHIN: Final = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "


def section_title(name: str) -> str:
    """The name of a payload type as a title, in English."""
    return name.replace("_", " ").capitalize()


def section_label(name: str) -> str:
    """The name of a payload type as a title."""
    return label_of(section_title(name))


def section_noun(name: str) -> str:
    """The name of a payload type inside a sentence."""
    return noun(section_label(name))


def member_name(name: str) -> str:
    """The name of a member of a section as words, in English."""
    return name.replace("_", " ")


def member_title(name: str) -> str:
    """The name of a member of a section as a title."""
    return _capitalized(label_of(member_name(name), PUSHED))


def place_title(steps: tuple[str, ...]) -> str:
    """The names that lead to a place, as a title; positions count from 1. Empty for the whole payload."""
    words = [
        gettext("item {n}", n=int(step) + 1) if step.isdecimal() else label_of(member_name(step), PUSHED)
        for step in steps
    ]
    return _capitalized((" " if current() is ENGLISH else _WITHIN).join(words))


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]

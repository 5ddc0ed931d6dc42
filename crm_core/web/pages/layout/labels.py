"""Labels of members and their choices in the current language, and several words as one phrase."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crm_core.language import gettext, label_of, noun
from crm_core.plugin.member import Member
from crm_core.web.pages.layout.parts import Option


def member_label(member: Member) -> str:
    """The label of a member as a title."""
    return label_of(member.label)


def within_sentence(member: Member) -> str:
    """The label of a member inside a sentence."""
    return noun(member_label(member))


def choice_labels(member: Member) -> tuple[Option, ...]:
    """Each value that a choice has, with its label."""
    return tuple(Option(value, label_of(text)) for value, text in member.choices)


def as_alternatives(words: Sequence[str]) -> str:
    """Words of a sentence as alternatives, at its beginning: ``Name, email or phone``."""
    text = "".join(words)
    if len(words) > 1:
        text = gettext("{words} or {last}", words=", ".join(words[:-1]), last=words[-1])
    return text[:1].upper() + text[1:]


def as_phrase(words: list[str], within: Callable[[str], str] = noun) -> str:
    """Words as one phrase: ``See, create and change``; ``within``: how a word is written inside a sentence."""
    lower = [word if at == 0 else within(word) for at, word in enumerate(words)]
    if len(lower) < 2:
        return "".join(lower)
    return gettext("{words} and {last}", words=", ".join(lower[:-1]), last=lower[-1])

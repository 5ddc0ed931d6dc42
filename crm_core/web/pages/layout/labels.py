"""Labels of members and their choices, in the current language."""

from __future__ import annotations

from crm_core.language import label_of, noun
from crm_core.plugin.member import Member


def member_label(member: Member) -> str:
    """The label of a member as a title."""
    return label_of(member.label)


def within_sentence(member: Member) -> str:
    """The label of a member inside a sentence."""
    return noun(member_label(member))


def choice_labels(member: Member) -> tuple[tuple[str, str], ...]:
    """Each value that a choice has, with its label."""
    return tuple((value, label_of(text)) for value, text in member.choices)

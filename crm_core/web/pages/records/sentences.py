"""Errors of a record as sentences about the label of their field, never about members or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crm_core.errors import Finding
from crm_core.plugin.member import Kind, Member
from crm_core.web.pages.layout.formats import Formats

_CHOSEN: Final = ("choice", "reference")
_TYPED: Final[Mapping[Kind, str]] = {
    "email": "Enter an email address such as ada@example.com.",
    "phone": "Enter a telephone number such as +49 30 1234-56.",
    "moment": "Enter a day and a time such as 24 Nov 14:30.",
    "currency": "Enter a currency code such as EUR.",
    "integer": "Enter a whole number such as 12.",
    "number": "Enter a number such as 12.5.",
}
_JUDGED: Final = ("wrong_type", "invalid_value")
"""Codes of a value that its member's type refuses; others come with their own sentence."""


def sentence_of(finding: Finding, member: Member, typed: str, formats: Formats) -> str:
    """What to enter in the field of a member. ``typed``: the text that was refused."""
    label = member.label.lower()
    if finding.code == "dangling_reference":
        return f"This {label} is gone or archived. Choose another."
    if finding.code == "not_unique":
        return f"Another record has this {label}. Enter another one."
    is_blank = member.required and not typed.strip() and finding.code in _JUDGED
    if finding.code == "missing_member" or is_blank:
        return f"Choose {_article(label)}." if member.kind in _CHOSEN else f"Enter {_article(label)}."
    if finding.code not in _JUDGED or _is_own(finding):
        return finding.message
    if member.max_length is not None and len(typed) > member.max_length:
        return f"{member.label} has {len(typed)} characters. Shorten it to {member.max_length}."
    if member.kind == "decimal":
        return f"Enter an amount such as {formats.regional.typed('1250.00')}."
    if member.kind == "date":
        return f"Enter a date such as {formats.regional.day(formats.now.date())}."
    if member.kind == "choice":
        return f"Choose one of {', '.join(text for _, text in member.choices)}."
    return _TYPED.get(member.kind) or finding.message


def _is_own(finding: Finding) -> bool:
    """Whether the message is the sentence of a plugin's check rather than of a type."""
    return not finding.message.startswith(("This must be ", "This value does not fit", "`"))


def _article(label: str) -> str:
    return f"{'an' if label[:1] in 'aeiou' else 'a'} {label}"

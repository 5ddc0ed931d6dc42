"""Errors of a record as sentences about the label of their field, never about members or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crm_core.errors import Finding, InvalidRecord
from crm_core.language import gettext, gettext_noop, localized
from crm_core.plugin.member import Kind, Member
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.labels import choice_labels, member_label, within_sentence

_CHOSEN: Final = ("choice", "reference")
_TYPED: Final[Mapping[Kind, str]] = {
    "email": gettext_noop("Enter an email address such as ada@example.com."),
    "phone": gettext_noop("Enter a telephone number such as +49 30 1234-56."),
    "moment": gettext_noop("Enter a day and a time such as 24 Nov 14:30."),
    "currency": gettext_noop("Enter a currency code such as EUR."),
    "integer": gettext_noop("Enter a whole number such as 12."),
    "number": gettext_noop("Enter a number such as 12.5."),
}
_JUDGED: Final = ("wrong_type", "invalid_value")
"""Codes of a value that its member's type refuses; others come with their own sentence."""


def sentence_of(finding: Finding, member: Member, typed: str, formats: Formats) -> str:
    """What to enter in the field of a member. ``typed``: the text that was refused."""
    label = within_sentence(member)
    if finding.code == "dangling_reference":
        return gettext("This {label} is gone or archived. Choose another.", label=label)
    if finding.code == "not_unique":
        return gettext("Another record has this {label}. Enter another one.", label=label)
    is_blank = member.required and not typed.strip() and finding.code in _JUDGED
    if finding.code == "missing_member" or is_blank:
        sentence = gettext("Choose {a_label}.") if member.kind in _CHOSEN else gettext("Enter {a_label}.")
        return sentence.format(a_label=with_article(label))
    if finding.code not in _JUDGED or _is_own(finding):
        return localized(finding.message)
    counts_characters = member.max_length is not None and member.kind not in ("texts", "entries", "rows")
    if counts_characters and member.max_length is not None and len(typed) > member.max_length:
        return gettext(
            "{label} has {n} characters. Shorten it to {most}.",
            label=member_label(member),
            n=len(typed),
            most=member.max_length,
        )
    if member.kind == "decimal":
        return gettext("Enter an amount such as {value}.", value=formats.regional.typed("1250.00"))
    if member.kind == "date":
        return gettext("Enter a date such as {date}.", date=formats.regional.day(formats.now.date()))
    if member.kind == "choice":
        return gettext("Choose one of {choices}.", choices=", ".join(text for _, text in choice_labels(member)))
    return localized(_TYPED.get(member.kind) or finding.message)


def not_chosen(name: str, message: str) -> InvalidRecord:
    """The refusal of a field in which something has to be chosen or entered differently."""
    return InvalidRecord(message, errors=[Finding(f"/{name}", "not_chosen", message)])


def _is_own(finding: Finding) -> bool:
    """Whether the message is the sentence of a plugin's check rather than of a type."""
    return not finding.message.startswith(("This must be ", "This value does not fit", "`"))


def with_article(label: str) -> str:
    """A label with the article that it has in English; other languages write what fits with any label."""
    return gettext("an {label}", label=label) if label[:1] in "aeiou" else gettext("a {label}", label=label)

"""Choosing a record or a colleague: the matches of what one types, and what a form with such a field means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from crm_core.language import gettext
from crm_core.model.folded_text import folded
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.browser import Form
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import HIDDEN, CellRenderer, is_picked
from crm_core.web.pages.records.form_rows import ADD, REMOVE
from crm_core.web.pages.records.forms import RecordForm
from crm_core.web.pages.records.queries import records_of

MOST: Final = 8
TEXT: Final = ":text"
"""The field of a picker's visible text is named after its member with this at the end."""
_FACTS: Final = ("email", "phone")


class Match(msgspec.Struct, frozen=True):
    """A match: its value, the text that a chosen one shows, the text in the list, and what distinguishes namesakes."""

    value: str
    text: str
    label: str
    about: str = ""

    @property
    def named(self) -> str:
        """The text in the list, on one line."""
        return f"{self.label} · {self.about}" if self.about else self.label


class Matches(msgspec.Struct, frozen=True):
    """The matches that are shown, and how many more there are."""

    items: tuple[Match, ...]
    more: int = 0


class Picks(NamedTuple):
    """A sent form whose pickers have values.

    ``texts``: what was typed and not chosen, by member. ``questions``: its matches. ``searches``: whether the form was
    sent to search, to choose, or to add or remove a row, not to save.
    """

    form: Form
    texts: Mapping[str, str]
    questions: Mapping[str, tuple[Option, ...]]
    searches: bool

    @property
    def address(self) -> dict[str, str]:
        """The parameters of an address for a form of filters: of a text that was not chosen, its first match."""
        found = {name: value for name, value in self.form.items() if not name.endswith(TEXT) and value != ""}
        return found | {name: options[0].value for name, options in self.questions.items() if options}


def own_values(context: PageContext, record_type: RecordType) -> dict[str, str]:
    """The values of a new record that are chosen beforehand: the user, where a colleague belongs."""
    return {member.name: context.caller.email for member in record_type.members if member.is_person}


async def matches_of(context: PageContext, member: Member, text: str, most: int = MOST) -> Matches:
    """The records or colleagues that a text finds; those changed last if it is empty. Raises AccessError."""
    if member.reference is None:
        return await _people(context, text, most)
    parameters = {"limit": str(most), "total": "true", "sort": "name" if text else "-updated_at"}
    if text:
        parameters["q"] = text
    referenced = context.services.registry.record_types[member.reference]
    found, total = await records_of(context, member.reference, parameters)
    facts = [one.name for kind in _FACTS for one in referenced.members if one.kind == kind]
    items = tuple(
        Match(one["id"], one["name"], one["name"], " · ".join(one[name] for name in facts if one[name]))
        for one in found
    )
    return Matches(items, total - len(items))


async def resolved(context: PageContext, record_type: RecordType, form: Form) -> Picks:
    """The form with the value of each picker: what was chosen, nothing where its text was cleared or only typed."""
    resolved = form.copy()
    cells, texts, questions = CellRenderer(context, record_type), dict[str, str](), dict[str, tuple[Option, ...]]()
    for member in record_type.members:
        name = member.name
        if not is_picked(member) or name + TEXT not in form:
            continue
        if chosen := form.get(f"form:choose:{name}"):
            resolved[name] = chosen
            continue
        typed, value = form[name + TEXT].strip(), form.get(name, "")
        if typed == (await shown_value(cells, member, value) if value else ""):
            continue
        resolved[name] = ""
        if typed:
            texts[name] = typed
            questions[name] = tuple(Option(one.value, one.named) for one in (await _found(context, member, typed)))
    searches = any(name in ("form:find", ADD, REMOVE) or name.startswith("form:choose:") for name in form)
    return Picks(resolved, texts, questions, searches)


async def with_shown(context: PageContext, form: RecordForm, picks: Picks | None) -> RecordForm:
    """The form with the text of each picker: the name of its value, or what was typed and not chosen."""
    cells, shown = CellRenderer(context, form.type), dict(picks.texts if picks else {})
    for member in form.type.members:
        if is_picked(member) and member.name not in shown and (value := form.values.get(member.name)):
            shown[member.name] = await shown_value(cells, member, value)
    if picks is None:
        return replace(form, shown=shown)
    missed = {name: text for name, text in picks.texts.items() if picks.searches and not picks.questions[name]}
    errors = {
        name: gettext("Nothing matches “{text}”. Enter another text.", text=text) for name, text in missed.items()
    }
    return replace(form, shown=shown, errors={**form.errors, **errors}, questions={**form.questions, **picks.questions})


async def shown_value(cells: CellRenderer, member: Member, value: str) -> str:
    """The name of a chosen record or colleague."""
    if member.reference is None:
        return await cells.context.names.colleague(value)
    return await cells.name_of(member.reference, value) or gettext(HIDDEN)


async def _found(context: PageContext, member: Member, text: str) -> tuple[Match, ...]:
    if member.reference is not None and not context.may(f"{member.reference}.view"):
        return ()
    return (await matches_of(context, member, text)).items


async def _people(context: PageContext, text: str, most: int) -> Matches:
    """Me first, then colleagues by name; ``text`` begins a word of the name or is in the email address."""
    sought, own, found = folded(text), context.caller.email, []
    for email, name in await context.names.colleagues():
        if f" {sought}" in folded(f" {name} ") or sought in folded(email):
            label = gettext("Me ({name})", name=name) if email == own else name
            found.append(Match(email, name, label, "" if name == email else email))
    found.sort(key=lambda one: one.value != own)
    return Matches(tuple(found[:most]), max(0, len(found) - most))

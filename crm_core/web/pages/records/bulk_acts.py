"""The acts of the bulk bar: the members that many records get one value of, and the patch that a sent form means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from crm_core.errors import RevisionMismatch
from crm_core.language import gettext
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.storage import Document
from crm_core.records.bulk import PatchOf
from crm_core.records.guarded_store import RecordAccess
from crm_core.web.pages.layout.labels import choice_labels, member_label, within_sentence
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import Field, is_optional
from crm_core.web.pages.records.one_click import before_of, newest_change
from crm_core.web.pages.records.sentences import not_chosen
from crm_core.web.pages.records.typed_values import separate_texts

ADD, REMOVE, NOTHING = "form:with", "form:without", "form:nothing"
_KINDS: Final = ("choice", "flag", "texts")


def settable(record_type: RecordType) -> Iterator[Member]:
    """The members that a bulk act can set: people, choices, flags, and lists of texts such as tags."""
    for member in record_type.members:
        if member.name not in record_type.COMPUTED and (member.is_person or member.kind in _KINDS):
            yield member


def fields_of(member: Member, form: Mapping[str, str]) -> Iterator[Field]:
    """The fields of an act, but for that of a person, which is a picker; ``form``: the values as they were sent."""
    if member.kind == "texts":
        label = within_sentence(member)
        hint = gettext("Separate values with commas")
        yield Field(name=ADD, label=gettext("Add {label}", label=label), value=form.get(ADD, ""), hint=hint)
        yield Field(name=REMOVE, label=gettext("Remove {label}", label=label), value=form.get(REMOVE, ""), hint=hint)
        return
    options = [Option("", gettext("Choose a value"))]
    options += (
        (Option("true", gettext("Yes")), Option("false", gettext("No")))
        if member.kind == "flag"
        else choice_labels(member)
    )
    if is_optional(member):
        options.append(Option(NOTHING, gettext("No {label}", label=within_sentence(member))))
    yield Field(
        name=member.name,
        label=member_label(member),
        kind="select",
        value=form.get(member.name, ""),
        options=tuple(options),
    )


def patch_of(member: Member, form: Mapping[str, str]) -> PatchOf:
    """The patch of each record. Raises InvalidRecord if the form chooses nothing."""
    if member.kind == "texts":
        return _texts(member, form)
    value: Any = form.get(member.name, "")
    if member.is_person:
        value = value or None
    elif value == NOTHING and is_optional(member):
        value = None
    elif member.kind == "flag" and value in ("true", "false"):
        value = value == "true"
    elif value not in dict(choice_labels(member)):
        raise not_chosen(member.name, gettext("Choose a value for {label}.", label=within_sentence(member)))

    async def patch(_document: Document) -> dict[str, Any]:
        return {member.name: value}

    return patch


def undoing(context: PageContext, access: RecordAccess, revisions: Mapping[str, int]) -> PatchOf:
    """The patch that sets a record's newest change back, if it is still at the revision that the change made."""

    async def patch(document: Document) -> dict[str, Any]:
        newest = await newest_change(context, access, document.id)
        if newest is None or not newest.revision == document.revision == revisions[document.id]:
            raise RevisionMismatch
        return before_of(newest, access.shape.record_type)

    return patch


def _texts(member: Member, form: Mapping[str, str]) -> PatchOf:
    added, removed = (separate_texts(form.get(name, ""), ()) for name in (ADD, REMOVE))
    if not added and not removed:
        raise not_chosen(ADD, gettext("Enter {label} to add or to remove.", label=within_sentence(member)))
    gone = {text.casefold() for text in removed}

    async def patch(document: Document) -> dict[str, Any]:
        current = msgspec.json.decode(document.body)[member.name]
        others = [text for text in current if text.casefold() not in gone]
        known = {text.casefold() for text in others}
        return {member.name: [*others, *(text for text in added if text.casefold() not in known)]}

    return patch

"""The merge patch of a sent form, or the errors of all of its fields together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from crm_core.errors import Finding, InvalidRecord
from crm_core.language import gettext
from crm_core.records.shape import Shape
from crm_core.web.pages.layout.labels import within_sentence
from crm_core.web.pages.records.forms import RecordForm
from crm_core.web.pages.records.sentences import with_article


def patch_of(
    form: RecordForm, found: Iterable[Finding], shape: Shape, current: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The merge patch of a form. ``found``: errors of its fields so far; ``current``: the record, None if it is new.

    Raises:
        InvalidRecord: there are such errors, or a text is not clear; with the errors that the other fields have.
    """
    findings = list(found)
    try:
        patch = form.patch()
    except InvalidRecord as error:
        findings += error.errors
    if not findings:
        return patch
    known = {one.pointer for one in findings}
    rest = shape.validate(_without(form, known).patch(), current)
    findings += [one for one in rest.findings if one.pointer not in known]
    raise InvalidRecord(gettext("Some values are not clear."), errors=findings)


def _without(form: RecordForm, pointers: set[str]) -> RecordForm:
    """The form with these fields as the record has them; of rows with an error all of them."""
    stored, values = form.stored, dict(form.values)
    names = {pointer.removeprefix("/").replace("/", ".") for pointer in pointers}
    for name in values:
        if name in names or any(one.startswith(f"{name}.") for one in names):
            values[name] = stored.get(name, "")
    return replace(form, values=values)


def not_chosen_of(form: RecordForm, texts: Mapping[str, str]) -> list[Finding]:
    """The errors of texts that were typed and not chosen."""
    optional = gettext("Choose {a_label} from the matches, or clear the field.")
    found = []
    for member in map(form.type.member, texts):
        sentence = gettext("Choose {a_label} from the matches.") if member.required else optional
        text = sentence.format(a_label=with_article(within_sentence(member)))
        found.append(Finding(f"/{member.name}", "not_chosen", text))
    return found

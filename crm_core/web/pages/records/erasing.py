"""The page that erases a record for good: it lists what goes and what stays, and requires the record's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from crm_core.errors import CrmError, Finding, InvalidRecord, LimitReached, RecordError
from crm_core.language import gettext, localized, ngettext
from crm_core.model.folded_text import folded
from crm_core.plugin.record_type import RecordType
from crm_core.records.erasing import MOST_ERASED, EraseOutlook
from crm_core.records.preconditions import Preconditions
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.labels import as_phrase
from crm_core.web.pages.layout.parts import PageLink, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import access_of, counted, record_type_of

_NAME: Final = "form:name"


async def asking(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """What an erase of the record removes, and the form that does it."""
    return await _page(context, record_type_of(context, module), id)


async def erased(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Erase the record, and the records that refer to it if that was chosen."""
    record_type, form = record_type_of(context, module), await request.form
    erasure, access = context.services.records.erasure, access_of(context, module)
    outlook = await erasure.outlook(access, id)
    typed, cascade = form.get(_NAME, ""), form.get("form:cascade") == "true"
    try:
        if folded(typed.strip()) != folded(_name_of(outlook)):
            singular = context.singular_of(record_type)
            message = gettext("Enter the name of the {record} as it is written above.", record=singular)
            raise InvalidRecord(message, errors=[Finding(f"/{_NAME}", "invalid_value", message)])
        unchanged = Preconditions(f'"{form.get("revision", "")}"')
        await erasure.erase(access, id, unchanged, cascade=cascade)
    except (RecordError, LimitReached) as error:
        return await _page(context, record_type, id, error, form)
    return redirect(context, f"/{module}", gettext("{record} erased", record=context.one_of(record_type)))


async def _page(
    context: PageContext,
    record_type: RecordType,
    record_id: str,
    error: CrmError | None = None,
    form: Mapping[str, str] | None = None,
) -> Response:
    access = access_of(context, record_type.NAME)
    outlook = await context.services.records.erasure.outlook(access, record_id)
    name, path = _name_of(outlook), f"{context.root}/{record_type.NAME}"
    misnamed = isinstance(error, InvalidRecord)
    view = PageView(
        "erase.html",
        module=record_type.NAME,
        name=name,
        singular=context.singular_of(record_type),
        crumbs=(PageLink(path, context.title_of(record_type)), PageLink(f"{path}/{record_id}", name)),
        path=f"{path}/{record_id}",
        revision=outlook.document.revision,
        referring=tuple(_referring(context, record_type, outlook)),
        cascade=None if outlook.cascade is None else _phrase(context, outlook.cascade),
        most=context.formats.number(MOST_ERASED),
        typed=form.get(_NAME, "") if form else "",
        checked=bool(form and form.get("form:cascade")),
        problem=_problem(context, record_type, outlook, error) if error else None,
        error=localized(error.detail) if error and misnamed else "",
    )
    return await page(context, record_type.NAME, view, error.status if error else 200)


def _name_of(outlook: EraseOutlook) -> str:
    return str(msgspec.json.decode(outlook.document.body)["name"])


def _referring(context: PageContext, record_type: RecordType, outlook: EraseOutlook) -> Iterator[PageLink]:
    types = context.services.registry.record_types
    for name, count in outlook.direct.items():
        other = types[name]
        member = next(one.member for one in other.REFERENCES if one.record_type == record_type.NAME)
        listed = f"{context.root}/{name}?view=list&{member}={outlook.document.id}"
        yield PageLink(listed if member in other.FILTERABLE else "", counted(context, other, count))


def _phrase(context: PageContext, counts: Mapping[str, int]) -> str:
    types = context.services.registry.record_types
    return as_phrase([counted(context, types[name], count) for name, count in counts.items()])


def _problem(context: PageContext, record_type: RecordType, outlook: EraseOutlook, error: CrmError) -> PageNotice:
    if error.code == "still_referenced" and outlook.cascade is not None:
        who, singular = _phrase(context, outlook.direct), context.singular_of(record_type)
        text = ngettext(
            "{who} refers to this {record}. Erase them too, or change them first.",
            "{who} refer to this {record}. Erase them too, or change them first.",
            sum(outlook.direct.values()),
            who=who,
            record=singular,
        )
        return failure(gettext("Nothing is erased."), text)
    if error.code == "revision_mismatch":
        return failure(
            gettext("Nothing is erased."), gettext("Someone changed this record in the meantime. Look at it again.")
        )
    return failure(gettext("Nothing is erased."), localized(error.detail))

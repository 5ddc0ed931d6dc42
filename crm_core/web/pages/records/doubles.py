"""Records that double another one: with the same email address, or the same name and telephone number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from crm_core.errors import InvalidParameter, NotFound, NotUnique
from crm_core.language import gettext
from crm_core.model.folded_text import folded
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.records.search_words import same_number
from crm_core.web.pages.layout.parts import PageLink, PageNotice, failure
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import document_of, records_of

_MOST: Final = 50
"""Records with the same email address or name that are looked at."""
_MOST_DISTINCT: Final = 20
"""Records known to be no doubles that a page names."""


class DoubleBanner(msgspec.Struct, frozen=True, kw_only=True):
    """The banner of a record that has a double; ``distinct``: the form for "Not a duplicate", empty without the right.

    ``other``: the id of the double.
    """

    notice: PageNotice
    distinct: str
    other: str


async def double_of(context: PageContext, record_type: RecordType, data: dict[str, Any]) -> dict[str, Any] | None:
    """A live record that the user may see and that ``data`` doubles; None if there is none."""
    if not context.may(f"{record_type.NAME}.view"):
        return None
    return next((record for record, _ in await _matches(context, record_type, data)), None)


async def double_banner(
    context: PageContext, record_type: RecordType, record: dict[str, Any], *, may_update: bool
) -> DoubleBanner | None:
    """The banner of a live record with the first other one that it doubles, leaving out those known to be none."""
    path, checked = f"{context.root}/{record_type.NAME}/{record['id']}", {record["id"]}
    for other, kind in await _matches(context, record_type, record):
        if other["id"] in checked:
            continue
        checked.add(other["id"])
        if await context.services.records.distinct.has(context.tenant, record["id"], other["id"]):
            continue
        notice = PageNotice(
            tone="info",
            icon="people",
            title=_title(context, record_type, other),
            text=gettext("Both have the same email address.")
            if kind == "email"
            else gettext("Both have the same name and telephone number."),
            href=f"{path}/compare/{other['id']}",
            link=gettext("Compare"),
        )
        return DoubleBanner(notice=notice, distinct=f"{path}/distinct" if may_update else "", other=other["id"])
    return None


async def distinct_links(context: PageContext, record_type: RecordType, id_: str) -> tuple[PageLink, ...]:
    """The comparisons with the live records that a record is known to be no double of, by name."""
    path, links = f"{context.root}/{record_type.NAME}/{id_}", list[PageLink]()
    for other in await context.services.records.distinct.others(context.tenant, id_, _MOST_DISTINCT):
        with suppress(NotFound):  # it was erased meanwhile
            record = msgspec.json.decode((await document_of(context, record_type.NAME, other)).body)
            if record["archived_at"] is None:
                links.append(PageLink(f"{path}/compare/{other}", record["name"]))
    return tuple(sorted(links, key=lambda link: link.text))


async def _matches(
    context: PageContext, record_type: RecordType, data: Mapping[str, Any]
) -> list[tuple[dict[str, Any], str]]:
    """Every live record that ``data`` doubles, itself too if it is stored, and the kind of the member that says so."""
    sought = [
        (member, parameters) for member in record_type.members if (parameters := _parameters(record_type, member, data))
    ]
    if not sought:  # no email address and no telephone number: no query
        return []
    found = await asyncio.gather(*(_listed(context, record_type, parameters) for _, parameters in sought))
    return [
        (record, member.kind)
        for (member, _), records in zip(sought, found, strict=True)
        for record in records
        if member.kind == "email" or _same_name_and_number(member, record, data)
    ]


def _parameters(record_type: RecordType, member: Member, data: Mapping[str, Any]) -> dict[str, str]:
    """The list with every record that this member may make a double; empty if there is none to look at."""
    value, name = data.get(member.name), str(data.get("name") or "")
    if not isinstance(value, str) or not value:
        return {}
    if member.kind == "email" and member.name in record_type.FILTERABLE:
        return {member.name: value}
    if member.kind == "phone" and name and any(char.isdigit() for char in value):
        if "name" in record_type.FILTERABLE:  # in large lists a number takes hundreds of times as long to find
            return {"name": name}
        return {"q": value} if member.name in record_type.SEARCHED else {}
    return {}


async def _listed(
    context: PageContext, record_type: RecordType, parameters: Mapping[str, str]
) -> Iterable[dict[str, Any]]:
    try:
        found, _ = await records_of(context, record_type.NAME, {**parameters, "limit": str(_MOST)})
    except InvalidParameter:  # no such value: the write refuses it with its own sentence
        return ()
    return found


def _same_name_and_number(member: Member, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    mine, theirs = one.get(member.name), other[member.name]
    if not mine or folded(one["name"]) != folded(str(other.get("name", ""))):
        return False
    return same_number(mine, theirs)


def _title(context: PageContext, record_type: RecordType, double: Mapping[str, Any]) -> str:
    return gettext("{name} may be the same {record}.", name=double["name"], record=context.singular_of(record_type))


def double_notice(context: PageContext, record_type: RecordType, double: Mapping[str, Any]) -> PageNotice:
    """The notice that a new record may be the same as another one, with a link."""
    name, title = double["name"], _title(context, record_type, double)
    text = gettext("It has the same email address, or the same name and telephone number. Nothing is saved yet.")
    href = f"{context.root}/{record_type.NAME}/{double['id']}"
    return PageNotice(
        tone="warn", icon="alert", title=title, text=text, href=href, link=gettext("Open {name}", name=name)
    )


async def same_value_notice(context: PageContext, record_type: RecordType, error: NotUnique) -> PageNotice:
    """The notice that another record has a value that only one may have, with a link if the user may view that one."""
    id_, href, name = error.evidence["id"], "", None
    if context.may(f"{record_type.NAME}.view"):
        name = await context.services.records.name_of(context.tenant, record_type.NAME, id_)
        href = f"{context.root}/{record_type.NAME}/{id_}" if name else ""
    notice = failure(
        gettext("Another {record} has the same value.", record=context.singular_of(record_type)),
        gettext("Nothing is saved yet."),
    )
    return replace(notice, href=href, link=gettext("Open {name}", name=name) if name else "")

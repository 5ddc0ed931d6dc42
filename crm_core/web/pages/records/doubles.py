"""Records that a new one may double: with the same email address, or the same name and telephone number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from crm_core.errors import InvalidParameter, NotUnique
from crm_core.language import gettext
from crm_core.model.folded_text import folded
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.parts import PageNotice, failure
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import records_of

_MOST: Final = 20


async def double_of(context: PageContext, record_type: RecordType, data: dict[str, Any]) -> dict[str, Any] | None:
    """A live record that the user may see and that ``data`` doubles; None if there is none."""
    for member in record_type.members:
        value = data.get(member.name)
        if not isinstance(value, str) or not value:
            continue
        try:
            found = await _with_same(context, record_type, member, value)
        except InvalidParameter:  # no such value: the write refuses it with its own sentence
            continue
        for one in found:
            if member.kind == "email" or folded(one["name"]) == folded(str(data.get("name", ""))):
                return one
    return None


async def _with_same(context: PageContext, record_type: RecordType, member: Member, value: str) -> list[dict[str, Any]]:
    """The records with this email address, or with this telephone number."""
    parameters: dict[str, str] = {}
    if member.kind == "email" and member.name in record_type.FILTERABLE:
        parameters = {member.name: value}
    elif member.kind == "phone" and member.name in record_type.SEARCHED and any(c.isdigit() for c in value):
        parameters = {"q": value}
    if not parameters:
        return []
    found, _ = await records_of(context, record_type.NAME, parameters | {"limit": str(_MOST)})
    return found


def double_notice(context: PageContext, record_type: RecordType, double: Mapping[str, Any]) -> PageNotice:
    """The notice that a new record may be the same as another one, with a link."""
    name, singular = double["name"], context.singular_of(record_type)
    title = gettext("{name} may be the same {record}.", name=name, record=singular)
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

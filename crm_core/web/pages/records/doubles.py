"""Records that a new one may double: with the same email address, or the same name and telephone number."""

from __future__ import annotations

from typing import Any, Final

from crm_core.errors import InvalidParameter
from crm_core.model.folded_text import folded
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
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

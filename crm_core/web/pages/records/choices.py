"""What the forms of a record type offer to choose from: records that can be referred to, and colleagues."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer, is_person
from crm_core.web.pages.records.forms import Choices, Values

_MOST: Final = 200


async def choices_of(context: PageContext, record_type: RecordType, values: Values) -> Choices:
    """The choices of every member that has some; what is chosen already is always among them."""
    references = {}
    for member in record_type.members:
        if member.reference is not None:
            references[member.name] = await _records(context, record_type, member, values.get(member.name, ""))
    people = await context.names.colleague_emails() if any(map(is_person, record_type.members)) else []
    return Choices(references, tuple(people))


async def _records(context: PageContext, record_type: RecordType, member: Member, chosen: str) -> tuple[Option, ...]:
    """The records that were changed last, in the order of their names."""
    assert member.reference is not None
    options: dict[str, str] = {}
    if context.may(f"{member.reference}.view"):
        records = context.services.records
        access = records.access(context.tenant, context.caller, member.reference)
        listing = await records.reads.list(access, {"limit": str(_MOST), "sort": "-updated_at"})
        found = (msgspec.json.decode(document.body) for document in listing.documents)
        options = {record["id"]: record["name"] for record in found}
    if chosen and chosen not in options:
        name = await CellRenderer(context, record_type).name_of(member.reference, chosen)
        options[chosen] = name or "Not visible to you"
    named = sorted(options.items(), key=lambda one: one[1].casefold())
    return tuple(Option(record_id, name) for record_id, name in named)

"""The choices in the form of a record: records that it can refer to, and colleagues."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import HIDDEN, CellRenderer
from crm_core.web.pages.records.forms import Choices, RecordForm
from crm_core.web.pages.records.queries import records_of

_MOST: Final = 200


async def with_choices(context: PageContext, form: RecordForm) -> RecordForm:
    """The form with the choices of its members; a chosen record is always among them."""
    cells = CellRenderer(context, form.type)
    references = {
        member.name: await _records(cells, member.reference, form.values.get(member.name, ""))
        for member in form.type.members
        if member.reference is not None
    }
    colleagues = await context.names.colleague_emails() if any(member.is_person for member in form.type.members) else []
    return replace(form, choices=Choices(references, tuple(colleagues)))


async def _records(cells: CellRenderer, record_type: str, chosen: str) -> tuple[Option, ...]:
    """The records that were changed last, in the order of their names."""
    context, options = cells.context, dict[str, str]()
    if context.may(f"{record_type}.view"):
        records, _ = await records_of(context, record_type, {"limit": str(_MOST), "sort": "-updated_at"})
        options = {record["id"]: record["name"] for record in records}
    if chosen and chosen not in options:
        options[chosen] = await cells.name_of(record_type, chosen) or HIDDEN
    return tuple(Option(*one) for one in sorted(options.items(), key=lambda one: one[1].casefold()))

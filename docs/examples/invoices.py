"""Invoices: a number that no other has, lines, a total that follows from them, and a state that ends."""

# ruff: noqa: INP001 -- a single file is no package

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from crm_core.errors import Finding
from crm_core.model.record_members import Amount, Currency, Day, Line, RecordId
from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import Due, RecordType, Reference

Number = Annotated[str, Meta(pattern=r"\A[A-Z]{1,4}-[0-9]{1,8}\Z", description="a number such as R-2026")]
Quantity = Annotated[int, Meta(ge=1, le=100_000, description="a whole number from 1 to 100,000")]


class InvoiceLine(Struct, forbid_unknown_fields=True, kw_only=True):
    """A line. Forms have a row for each, with fields for its members."""

    text: Line
    quantity: Quantity = 1
    price: Amount = "0"


class Invoice(Struct, forbid_unknown_fields=True, kw_only=True):
    """The members of an invoice. `name` and `total` are computed, so both are optional here."""

    name: Line | None = None
    number: Number
    customer_id: RecordId | None = None
    state: Literal["draft", "sent", "paid"] = "draft"
    due_on: Day | None = None
    currency: Currency | None = None
    lines: Annotated[list[InvoiceLine], Meta(max_length=100)] = []
    total: Amount | None = None


class Invoices(RecordType):
    """What customers owe. A paid invoice stays paid."""

    NAME = "invoices"
    TITLE = "Invoices"
    SINGULAR = "Invoice"
    RECORD = Invoice
    UNIQUE = ("number",)
    COMPUTED = ("name", "total")
    SORTABLE = ("number", "due_on", "total")
    FILTERABLE = ("number", "customer_id", "state", "due_on")
    SEARCHED = ("name",)
    REFERENCES = (Reference("customer_id", "customers"),)
    LABELS: ClassVar[Mapping[str, str]] = {"due_on": "Due", "lines.price": "Unit price"}
    COLUMNS = ("name", "customer_id", "state", "due_on", "total")
    DUE = Due("due_on")

    def complete(self, record: Invoice, before: Invoice | None) -> Invoice:  # noqa: ARG002 -- the interface's
        """The name that lists and references show, and the total."""
        total = sum((line.quantity * Decimal(line.price) for line in record.lines), Decimal())
        return replace(record, name=f"Invoice {record.number}", total=f"{total:f}" if total < 10**12 else None)

    def check(self, record: Invoice, before: Invoice | None) -> Iterable[Finding]:
        """Rules over several members, and over what was stored."""
        if record.total is None:
            yield Finding("/lines", "invalid_value", "The total has more than 12 digits. Make two invoices of it.")
        if record.state != "draft" and not record.lines:
            yield Finding("/lines", "missing_member", "An invoice that is sent has lines.")
        if before is not None and before.state == "paid":
            if record.state != "paid":
                yield Finding("/state", "invalid_value", "A paid invoice stays paid.")
            if record.lines != before.lines:
                yield Finding("/lines", "invalid_value", "The lines of a paid invoice stay as they are.")


@hookimpl
def crm_register_record_types() -> list[RecordType]:
    """Bring the type to an instance."""
    return [Invoices()]

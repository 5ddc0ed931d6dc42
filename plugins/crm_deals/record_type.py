"""Deals: sales opportunities with a customer, amount, closing date and stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from msgspec import Struct

from crm_core.errors import Finding
from crm_core.model.currencies import CURRENCIES
from crm_core.model.record_members import Amount, Currency, Custom, Day, Line, Notes, RecordId, Tags
from crm_core.plugin.record_type import Pipeline, RecordType, Reference


class Deal(Struct, forbid_unknown_fields=True, kw_only=True):
    """The members of a deal."""

    name: Line
    customer_id: RecordId
    stage: Literal["new", "qualified", "proposal", "won", "lost"] = "new"
    amount: Amount | None = None
    currency: Currency | None = None
    closes_on: Day | None = None
    tags: Tags = []
    owner: Line | None = None
    notes: Notes | None = None
    custom: Custom = {}


class Deals(RecordType):
    """Sales opportunities."""

    NAME = "deals"
    TITLE = "Deals"
    SINGULAR = "Deal"
    RECORD = Deal
    LABELS: ClassVar[Mapping[str, str]] = {"custom": "More fields"}
    SORTABLE = ("name", "stage", "amount", "closes_on")
    FILTERABLE = ("name", "customer_id", "stage", "amount", "currency", "closes_on", "tags", "owner")
    SEARCHED = ("name",)
    REFERENCES = (Reference("customer_id", "customers"),)
    COLUMNS = ("name", "customer_id", "stage", "amount", "currency", "closes_on", "owner")
    LANES = "stage"
    OWNER = "owner"
    PIPELINE = Pipeline(
        stage="stage", won=("won",), lost=("lost",), amount="amount", currency="currency", closes_on="closes_on"
    )

    def check(self, record: Deal, before: Any = None) -> Iterable[Finding]:  # noqa: ARG002 -- the interface's
        """Refuse unknown currencies."""
        if record.currency is not None and record.currency not in CURRENCIES:
            message = "Unknown currency. Use an ISO 4217 code such as EUR."
            yield Finding("/currency", "invalid_value", message)

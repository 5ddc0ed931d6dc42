"""Amounts of records, added up by currency; currencies are never added to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from crm_core.model.turns import in_turns
from crm_core.plugin.record_type import RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import TypeRows

Sums = Mapping[str, Decimal]
"""Sums by currency."""


class Amounts:
    """The amounts of a type's records: those of its PIPELINE, else its first decimal, in the record's currency.

    ``exist``: whether records of the type have an amount; ``of`` reads that of a row.
    """

    def __init__(self, context: PageContext, record_type: RecordType) -> None:
        pipeline, kinds = record_type.PIPELINE, {one.kind: one.name for one in reversed(record_type.members)}
        amount = (pipeline and pipeline.amount) or kinds.get("decimal")
        currency = (pipeline and pipeline.currency) or kinds.get("currency")
        rows = TypeRows(context, record_type)
        self._formats = context.formats
        self._default = context.branding.regional.currency
        self.exist = amount is not None
        self.of: Callable[[Row], Decimal | None] = rows.value(amount)
        self._currency = rows.value(currency)

    def currency(self, row: Row) -> str:
        """The currency of a record's amount."""
        return self._currency(row) or self._default

    async def sums(self, rows: Sequence[Row]) -> Sums:
        """The sums by currency, the workspace's own first."""
        found: dict[str, Decimal] = {}
        if self.exist:
            async for some in in_turns(rows):
                for row in some:
                    amount = self.of(row)
                    if amount is not None:
                        currency = self.currency(row)
                        found[currency] = found.get(currency, Decimal()) + amount
        return dict(sorted(found.items(), key=lambda one: (one[0] != self._default, one[0])))

    def texts(self, sums: Sums) -> tuple[str, ...]:
        """Sums as texts; zero in the workspace's currency if there are none, nothing for a type without amounts."""
        if not self.exist:
            return ()
        return tuple(self.money(total, currency) for currency, total in sums.items()) or (self.money(Decimal()),)

    def money(self, amount: Decimal, currency: str | None = None) -> str:
        """An amount as text."""
        return self._formats.money(amount, currency or self._default)

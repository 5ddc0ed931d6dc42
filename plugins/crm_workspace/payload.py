"""The workspace payload type: language, time and money of a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from zoneinfo import available_timezones

import msgspec
from msgspec import UNSET

from crm_core.errors import Finding
from crm_core.language import gettext_noop
from crm_core.model.currencies import CURRENCIES
from crm_core.plugin.payload import PayloadContext, PayloadType, Regional
from crm_workspace.section import WorkspaceSection


class WorkspaceType(PayloadType):
    """Locale, time zone, currency, dates and business hours."""

    NAME = "workspace"
    SECTION = WorkspaceSection
    SHOWN = "members"

    @cached_property
    def _zones(self) -> frozenset[str]:
        return frozenset(available_timezones())  # cached: it lists some 600 files

    def validate(self, part: WorkspaceSection, context: PayloadContext) -> Iterable[Finding]:  # noqa: ARG002 - the interface's
        """Unknown time zones and currencies, and hours that end before they begin."""
        if part.timezone is not UNSET and part.timezone not in self._zones:
            yield Finding(
                "/timezone", "invalid_value", gettext_noop("Unknown time zone. Use an IANA name such as Europe/Berlin.")
            )
        if part.currency is not UNSET and part.currency not in CURRENCIES:
            yield Finding(
                "/currency", "invalid_value", gettext_noop("Unknown currency. Use an ISO 4217 code such as EUR.")
            )
        yield from _hours(part)

    def regional(self, part: WorkspaceSection) -> Regional:
        """Language, time zone, currency and dates."""
        data = msgspec.to_builtins(part)
        return Regional(**{name: data.get(name) for name in Regional.__struct_fields__})


def _hours(part: WorkspaceSection) -> Iterator[Finding]:
    if part.business_hours is UNSET:
        return
    for day, stretches in part.business_hours.items():
        for index, hours in enumerate(stretches):
            if hours.opens >= hours.closes:
                text = gettext_noop("These hours end before they begin. `from` must be earlier than `to`.")
                yield Finding(f"/business_hours/{day}/{index}/to", "invalid_value", text)

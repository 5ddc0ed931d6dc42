"""The workspace payload type: language, time and money of a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import available_timezones

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from crm_core.errors import Finding
from crm_core.model.currencies import CURRENCIES
from crm_core.plugin.payload import PayloadContext, PayloadType, Regional

# RFC 5646, 2.1: language, script, region, variants, extensions, private use.
_LOCALE = (
    r"\A(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)*"
    r"(?:-[xX](?:-[A-Za-z0-9]{1,8})+)?\Z"
)
Locale = Annotated[str, Meta(max_length=100, pattern=_LOCALE, description="a BCP 47 language tag such as en-GB")]
Zone = Annotated[str, Meta(max_length=100, description="an IANA time zone such as Europe/Berlin")]
Currency = Annotated[str, Meta(max_length=3, description="an ISO 4217 code such as EUR")]
DateFormat = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9%./, '_-]{1,40}\Z", description="a date pattern such as YYYY-MM-DD")
]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Clock = Annotated[
    str, Meta(pattern=r"\A(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)\Z", description="a time of day such as 09:30")
]


class Hours(Struct, frozen=True, forbid_unknown_fields=True, rename={"opens": "from", "closes": "to"}):
    """A period of business hours in the workspace's time zone: ``{"from": "09:00", "to": "17:00"}``."""

    opens: Clock
    closes: Clock


class WorkspaceSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The workspace section."""

    locale: Locale | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    date_format: DateFormat | UnsetType = UNSET
    week_start: Day | UnsetType = UNSET
    business_hours: dict[Day, Annotated[list[Hours], Meta(max_length=10)]] | UnsetType = UNSET


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
            yield Finding("/timezone", "invalid_value", "Unknown time zone. Use an IANA name such as Europe/Berlin.")
        if part.currency is not UNSET and part.currency not in CURRENCIES:
            yield Finding("/currency", "invalid_value", "Unknown currency. Use an ISO 4217 code such as EUR.")
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
                text = "These hours end before they begin. `from` must be earlier than `to`."
                yield Finding(f"/business_hours/{day}/{index}/to", "invalid_value", text)

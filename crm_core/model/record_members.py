"""Types for the members of records, for record types of plugins.

``extra={"kind": ...}`` names the kind if the JSON type is not enough for forms, filters and exports.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from msgspec import Meta

from crm_core.model.currencies import CURRENCIES
from crm_core.model.text_types import PARAGRAPHS, Email, Line
from crm_core.model.times import is_moment

__all__ = [
    "AMOUNT_DECIMALS",
    "Amount",
    "Currency",
    "Custom",
    "Day",
    "EmailAddress",
    "ExternalId",
    "Line",
    "Moment",
    "Notes",
    "Phone",
    "RecordId",
    "Tags",
]

AMOUNT_DECIMALS = 4  # the most in ISO 4217

# A `$` would let a final newline through; `\Z` does not.
_ID = r"\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
_EXTERNAL_ID = r"\A(?!\.{1,2}\Z)[A-Za-z0-9._:@-]{1,128}\Z"
_PHONE = r"\A(?=.*[0-9])[\w +()./,;:#*\u00a0\u2010-\u2015\u202f-]{1,40}\Z"
_AMOUNT = r"\A(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,4})?\Z"
_SAFE_INTEGER = 2**53 - 1  # what every JSON reader keeps exact (RFC 8259, section 6)

RecordId = Annotated[
    str, Meta(min_length=36, max_length=36, pattern=_ID, description="the id of a record, a UUID in lower case")
]
ExternalId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=_EXTERNAL_ID,
        description="1 to 128 letters, digits and `._:@-`, neither `.` nor `..`",
    ),
]
EmailAddress = Annotated[Email, Meta(extra={"kind": "email"})]
Phone = Annotated[
    str,
    Meta(
        max_length=40,
        pattern=_PHONE,
        description="a telephone number such as +49 30 1234-56 ext. 7, up to 40 characters with a digit among them",
        extra={"kind": "phone"},
    ),
]
Notes = Annotated[
    str,
    Meta(
        max_length=10_000,
        pattern=PARAGRAPHS,
        description="text of up to 10,000 characters, no control characters",
        extra={"kind": "paragraphs"},
    ),
]
Day = Annotated[date, Meta(description="a date such as 2026-11-24")]
Moment = Annotated[
    str,
    Meta(
        max_length=40,
        description="a time with its zone such as 2026-11-24T02:00:00Z",
        extra={"kind": "moment", "check": is_moment},
        extra_json_schema={"format": "date-time"},
    ),
]
Amount = Annotated[
    str,
    Meta(
        max_length=17,
        pattern=_AMOUNT,
        description='an amount as text such as "1250.00", up to 12 digits before the point and 4 behind it',
        extra={"kind": "decimal"},
    ),
]
Currency = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=3,
        pattern=r"\A[A-Z]{3}\Z",
        description="an ISO 4217 code such as EUR",
        extra={"kind": "currency"},
        extra_json_schema={"enum": sorted(CURRENCIES)},
    ),
]
Tags = Annotated[list[Line], Meta(max_length=50, description="a list of up to 50 texts")]

_CustomName = Annotated[
    str,
    Meta(
        min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z", description="1 to 64 letters, digits, `_.-`"
    ),
]
_CustomText = Annotated[str, Meta(max_length=2000, pattern=PARAGRAPHS)]
_CustomValue = Annotated[
    bool | Annotated[int, Meta(ge=-_SAFE_INTEGER, le=_SAFE_INTEGER)] | float | _CustomText | None,
    Meta(description="a text of up to 2,000 characters, a number (integers up to 2^53-1), true or false"),
]
Custom = Annotated[
    dict[_CustomName, _CustomValue],
    Meta(max_length=100, description="an object of up to 100 members, their names of 1 to 64 letters, digits, `_.-`"),
]

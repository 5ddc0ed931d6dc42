"""Parameters that several operations have, and the schemas of their values."""

from __future__ import annotations

from typing import Any, Final

from crm_core.web.operations import Parameter

BOOLEAN: Final = {"type": "boolean"}
MOMENT: Final = {"type": "string", "format": "date-time"}
UUID: Final = {"type": "string", "format": "uuid"}
MERGE_PATCH: Final = ("application/merge-patch+json", "application/json")
"""The media types of a merge patch (RFC 7396)."""


def whole(least: int, most: int) -> dict[str, Any]:
    """The schema of a whole number."""
    return {"type": "integer", "minimum": least, "maximum": most}


LIMIT: Final = Parameter(name="limit", description="Items of a page, 1 to 500; 50 unless given.", schema=whole(1, 500))
CURSOR: Final = Parameter(name="cursor", description="The next_cursor of the page before.")
WITH_BOM: Final = Parameter(
    name="bom",
    description="true: CSV begins with a byte order mark, by which spreadsheets recognize UTF-8.",
    schema=BOOLEAN,
)
IF_NONE_MATCH: Final = Parameter(
    name="If-None-Match", description="An ETag that the caller has: 304 if it is current.", where="header"
)

"""The member ``records`` of instance.yaml."""

from __future__ import annotations

import msgspec

from crm_core.settings.document import Node
from crm_core.settings.reading import Members, integer


class RecordSettings(msgspec.Struct, frozen=True):
    """``changes_keep_days``: how long the change log is retained; 0 means forever."""

    changes_keep_days: int = 365


def read_records(node: Node) -> RecordSettings:
    """The settings of records. Raises Wrong."""
    members = Members(node)
    days = members.get("changes_keep_days", integer(0, 36_500), 365)
    members.done()
    return RecordSettings(days)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from crm_core.errors import Finding
from crm_core.model.record_members import Custom, Line, Tags
from crm_core.plugin.record_type import RecordType
from crm_core.records.shape import Shape


class Visit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    tags: Tags = []
    custom: Custom = {}


class Writing(RecordType):
    NAME = "visits"
    TITLE = "Visits"
    SINGULAR = "Visit"
    RECORD = Visit

    def check(self, record: Visit) -> Iterable[Finding]:
        """Change all that can be changed."""
        record.name = "changed" * 1000
        record.tags.append("changed")
        record.custom["changed"] = "x"
        return ()


def test_a_check_changes_nothing_that_is_stored() -> None:
    """It has a record of its own: nothing gets past the schema by it."""
    data: dict[str, Any] = {"name": "A", "tags": ["t"], "custom": {"c": "d"}}
    judged = Shape(Writing(), "lone").validate(data)
    assert judged.content is not None
    assert msgspec.to_builtins(judged.content.record) == data == {"name": "A", "tags": ["t"], "custom": {"c": "d"}}

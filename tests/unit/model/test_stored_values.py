"""Stored values that today's limits refuse."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from crm_core.model.record_members import Custom, EmailAddress, Line
from crm_core.model.stored_values import as_stored, convert_changed

Short = Annotated[str, msgspec.Meta(max_length=3, description="a short text")]
Few = Annotated[int, msgspec.Meta(le=9, description="up to 9")]


class Row(msgspec.Struct, forbid_unknown_fields=True):
    text: Short
    count: Few = 1


class Record(msgspec.Struct, forbid_unknown_fields=True, rename={"inner": "in"}):
    name: Line
    email: EmailAddress | None = None
    inner: Row | None = None
    rows: list[Row] = []
    tags: Annotated[list[Short], msgspec.Meta(max_length=2)] = []
    custom: Custom = {}


STORED: dict[str, Any] = {
    "name": "n" * 201,
    "email": "a@b..de",
    "in": {"text": "long", "count": 10},
    "rows": [{"text": "long", "count": 1}, {"text": "abc", "count": 99}],
    "tags": ["long"],
    "custom": {"not a name": 1, "a/b~c": "x"},
}


def test_values_that_stay_are_not_judged_again() -> None:
    """Members, those of objects, rows, items and entries keep what was stored; the record has its type."""
    wanted = {**STORED, "tags": ["long", "new"]}
    record, findings = convert_changed(wanted, Record, STORED)
    assert findings == ()
    assert isinstance(record.inner, Row)
    assert msgspec.to_builtins(record) == wanted


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"email": "a@c..de"}, {"/email"}),
        ({"in": {"text": "longer", "count": 10}}, {"/in/text"}),
        ({"rows": [{"text": "new", "count": 99}, *STORED["rows"]]}, {"/rows/0/count", "/rows/1/text", "/rows/2/count"}),
        ({"tags": ["a", "b", "c"]}, {"/tags"}),
        ({"custom": {"b c": 1}}, {"/custom/b c"}),
        ({"name": 5}, {"/name"}),
        ({"more": 1}, {"/more"}),
    ],
)
def test_what_changes_is_judged(change: dict[str, Any], pointers: set[str]) -> None:
    """Only the findings of the change are listed."""
    record, findings = convert_changed({**STORED, **change}, Record, STORED)
    assert record is None
    assert {finding.pointer for finding in findings} == pointers


def test_a_new_value_is_judged_whole() -> None:
    """Nothing was stored before, so everything is a change."""
    assert {finding.pointer for finding in convert_changed(STORED, Record, None)[1]} >= {"/name", "/email", "/tags/0"}


@pytest.mark.parametrize("value", [{"email": "a@b..de"}, {"name": 5}, {"name": "A", "rows": [{}]}, []])
def test_a_value_of_another_type_is_no_stored_one(value: Any) -> None:
    """A missing member or one of another type has no form, and a change that leaves it as it is stays refused."""
    assert as_stored(value, Record) is None
    assert convert_changed(value, Record, value)[0] is None

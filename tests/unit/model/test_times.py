from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crm_core.model.times import from_input, from_wire, is_moment


def test_a_time_is_heard_in_utc() -> None:
    """An offset is taken off."""
    assert from_wire("2026-11-24T03:00:00+01:00") == datetime(2026, 11, 24, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2026-11-24T03:00:00", "yesterday", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-01:00"]
)
def test_what_is_no_moment_is_a_value_error(text: str) -> None:
    """Without a zone, no time at all, or outside of the years that there are: one error for all of them."""
    with pytest.raises(ValueError):  # noqa: PT011 -- any text: callers know its type
        from_wire(text)


@pytest.mark.parametrize("text", ["2026-11-24T02:00:00Z", "2026-11-24t02:00:00.1234567z", "2026-11-24T03:00:00-00:30"])
def test_a_time_from_outside(text: str) -> None:
    """What RFC 3339 allows: lower case, any fraction of a second, and offsets."""
    assert is_moment(text)
    assert from_input(text) == from_wire(text.upper())


@pytest.mark.parametrize(
    "text",
    ["2026-W48-2T02:00:00Z", "2026-11-24T02:00Z", "20261124T020000Z", "2026-11-24 02:00:00Z", "2026-11-24T02:00:00+01",
     "2026-11-24T02:00:00,5Z", "2026-02-30T02:00:00Z", "2026-11-24T02:00:00+01:00:01", "2026-11-24"],
)  # fmt: skip
def test_forms_of_iso_8601_that_rfc_3339_does_not_have(text: str) -> None:
    """Week dates, times without seconds and basic forms are refused."""
    assert not is_moment(text)

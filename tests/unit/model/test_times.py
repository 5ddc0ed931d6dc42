from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crm_core.model.times import from_wire


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

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.ids import Ids, first_id, is_id, made_at

START = datetime(2026, 11, 24, tzinfo=UTC)


class Highest(Random):
    """Draws the highest number each time."""

    def getrandbits(self, k: int, /) -> int:
        return (1 << k) - 1


@given(st.lists(st.integers(-5000, 5000), min_size=1, max_size=60))
def test_ids_grow_with_any_clock(steps: list[int]) -> None:
    """Each is larger than all before it, and a UUID of version 7 (RFC 9562)."""
    moment = START
    ids = Ids(lambda: moment)
    made = []
    for step in steps:
        moment += timedelta(milliseconds=step)
        made.append(ids.new())
    assert made == sorted(set(made))
    assert all((UUID(one).version, UUID(one).variant) == (7, "specified in RFC 4122") for one in made)
    assert all(is_id(one) for one in made)


def test_an_id_reports_when_it_was_made() -> None:
    """Its first 48 bits are Unix milliseconds."""
    made = Ids(lambda: START).new()
    assert UUID(made).int >> 80 == int(START.timestamp() * 1000)
    assert made_at(made) == START


def test_the_ids_of_a_moment_begin_at_a_text() -> None:
    """It sorts between the ids of the millisecond before and those of the moment."""
    before = Ids(lambda: START - timedelta(milliseconds=1), Highest()).new()
    assert before < first_id(START) < Ids(lambda: START).new()


def test_a_full_millisecond_runs_into_the_next() -> None:
    """Even where the random part starts at its highest."""
    ids = Ids(lambda: START, Highest())
    assert ids.new() < ids.new() < ids.new()


@pytest.mark.parametrize(
    "text", ["", "nothing", "0190000000007000800000000000000", "01900000-0000-7000-8000-0000000000g0"]
)
def test_what_is_no_id_is_reported(text: str) -> None:
    """Also other spellings of one: an address has one form."""
    assert not is_id(text)
    assert not is_id("01900000-0000-7000-8000-00000000000A")
    assert is_id("01900000-0000-7000-8000-00000000000a")

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from crm_core.errors import InvalidEnvelope
from crm_core.model.envelope import MAX_VERSION, read_envelope

GOOD = {"tenant": "northwind", "type": "features", "version": 12, "data": {}}


def refused(body: Any) -> dict[str, str]:
    """The errors of a body: pointer to code."""
    with pytest.raises(InvalidEnvelope) as caught:
        read_envelope(body)
    return {finding.pointer: finding.code for finding in caught.value.errors}


def test_what_is_left_out_has_its_default() -> None:
    """Four members are enough; the push then replaces and applies."""
    envelope = read_envelope(GOOD)
    assert (envelope.mode, envelope.strategy, envelope.instance) == ("apply", "replace", UNSET)


@pytest.mark.parametrize("body", [None, [], "x", 7, True], ids=repr)
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    """Any other JSON value points at the whole body."""
    assert refused(body) == {"": "wrong_type"}


@pytest.mark.parametrize("name", GOOD)
def test_each_required_member_is_missed(name: str) -> None:
    """A missing member is named."""
    assert refused({key: value for key, value in GOOD.items() if key != name}) == {f"/{name}": "missing_member"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 0),
        ("version", -1),
        ("version", MAX_VERSION + 1),
        ("version", 1.0),
        ("version", True),
        ("version", "12"),
        ("data", []),
        ("data", None),
        ("tenant", None),
        ("type", 5),
        ("instance", None),
        ("mode", "dry"),
        ("mode", ["apply"]),
        ("strategy", None),
        ("issued_at", "2026-11-24 02:00:00"),
        ("issued_at", "2026-13-24T02:00:00Z"),
        ("issued_at", "2026-11-24T02:00:00+01:00"),
        ("issued_at", 1_790_000_000),
        ("source", "x" * 201),
        ("source", {}),
    ],
)
def test_a_member_of_the_wrong_form_is_named(name: str, value: Any) -> None:
    """Types are never coerced and ranges are checked."""
    assert refused({**GOOD, name: value}) == {f"/{name}": "invalid_value"}


def test_everything_wrong_is_reported_together() -> None:
    """Unknown, missing and mistyped members come in one answer, names escaped."""
    assert refused({"tenant": 1, "type": "features", "version": 0, "a/b": 1}) == {
        "/data": "missing_member",
        "/tenant": "invalid_value",
        "/version": "invalid_value",
        "/a~1b": "unknown_member",
    }


def test_an_unknown_member_is_refused_with_the_known_ones() -> None:
    """To leave out a mistyped strategy would replace the section that was to be merged."""
    with pytest.raises(InvalidEnvelope) as refusal:
        read_envelope({**GOOD, "stratgy": "merge"})
    (finding,) = refusal.value.errors
    assert "strategy" in finding.message


def test_the_largest_version_is_taken() -> None:
    """2^53 - 1 is the last version there is."""
    assert read_envelope({**GOOD, "version": MAX_VERSION}).version == MAX_VERSION

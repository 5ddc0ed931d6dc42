from __future__ import annotations

import re

import pytest

from crm_core import errors
from crm_core.errors import CrmError, Finding, SecretRequired, StaleVersion


def wire_classes(base: type[CrmError] = CrmError) -> list[type[CrmError]]:
    """Every class below the base that has a wire code."""
    return [one for group in base.__subclasses__() for one in group.__subclasses__()]


def test_each_wire_code_has_one_class() -> None:
    """A code on the wire leads to exactly one class, and the module exports it."""
    codes = [one.code for one in wire_classes()]
    assert len(codes) == len(set(codes))
    assert all(getattr(errors, one.__name__) is one for one in wire_classes())


def test_the_tree_shows_every_class() -> None:
    """The tree at the top of the package shows all classes with a wire code."""
    shown = set(re.findall(r"\w+", errors.__doc__ or ""))
    assert {one.__name__ for one in wire_classes()} <= shown


def test_an_error_without_a_sentence_still_says_what_happened() -> None:
    """Without a detail the title is shown."""
    assert StaleVersion().detail == "Version too old."


def test_evidence_travels_with_the_error() -> None:
    """Everything that a problem shows next to its sentence is a member."""
    assert StaleVersion("Too old.", current={"branding": 7}).evidence == {"current": {"branding": 7}}


def test_the_words_for_operators_are_in_no_problem() -> None:
    """A problem has the detail alone; operators read the same where nothing else is said."""
    error = errors.StorageUnavailable("It cannot be read.", operator_detail="journal-1.log is empty.")
    assert error.operator_detail == "journal-1.log is empty."
    assert "journal" not in str(error.problem("r1")) + str(error)
    assert errors.StorageUnavailable("It is full.").operator_detail == "It is full."


@pytest.mark.parametrize("member", ["password", "api_key"])
def test_a_missing_secret_is_named_in_the_code(member: str) -> None:
    """The code reports which secret is asked for again, regardless of what plugin it belongs to."""
    assert SecretRequired(member).code == f"{member}_required"


def test_an_error_lists_a_thousand_findings() -> None:
    """However long the input is, its refusal has a bounded length, and says that there is more."""
    found = (Finding(f"/{number}", "type", "Use text.") for number in range(5_000))
    listed = CrmError("No.", errors=found).errors
    assert [each.pointer for each in listed] == [*(f"/{number}" for number in range(1_000)), ""]
    assert listed[-1].code == "more_errors"


def test_a_finding_moves_under_a_prefix() -> None:
    """A finding on a part points into the whole body once it is moved there."""
    moved = Finding("/title", "type", "Use text.").under("/data")
    assert moved.to_wire() == {"pointer": "/data/title", "code": "type", "message": "Use text."}

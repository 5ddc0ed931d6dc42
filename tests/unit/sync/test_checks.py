from __future__ import annotations

import inspect
import re

import pytest

from crm_core import errors
from crm_core.errors import PushError
from crm_core.sync import receive
from crm_core.sync.checks import Check, failed_check

REFUSALS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, PushError)]


def test_the_checks_are_numbered_in_order() -> None:
    """There are sixteen, from 1."""
    assert [check.number for check in Check] == list(range(1, 17))


def test_the_receiver_names_every_check() -> None:
    """Each check's name is next to its call in receive.py, and no other name is."""
    named = re.findall(r"  # ([A-Z_]+)$", inspect.getsource(receive), re.MULTILINE)
    assert sorted(named) == sorted(Check.__members__)


@pytest.mark.parametrize("refusal", [one for one in REFUSALS if one is not PushError], ids=lambda one: str(one.code))
def test_every_refusal_of_a_push_has_its_check(refusal: type[PushError]) -> None:
    """Each error of a push belongs to a check, which its code finds."""
    found = failed_check(refusal.code, verified=False)
    assert found is not None
    assert refusal in found.errors


@pytest.mark.parametrize(
    ("code", "verified", "check"),
    [
        ("type_not_allowed", False, Check.KEY_LIMITS),
        ("type_not_allowed", True, Check.ENVELOPE),
        ("password_required", True, Check.SCHEMA),
        ("storage_full", True, Check.APPLY),
        ("rate_limited", False, None),
        ("plugin_failed", True, None),
    ],
)
def test_a_code_names_the_check_that_refused(code: str, *, verified: bool, check: Check | None) -> None:
    """A verified attempt has passed the first nine; limits and faults are of no check."""
    assert failed_check(code, verified=verified) is check

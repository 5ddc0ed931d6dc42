"""Input for users: its findings, and values that were valid before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crm_core.access.user import User, read_input

GONE = {"email": "ada@example.com", "role": "clerk", "assignment": ["leads.view"]}


def findings(access: Any, data: Any, before: User | None = None) -> dict[str, tuple[str, str]]:
    """Code and message by pointer."""
    _, found = read_input(data, before, access.files.catalog, access.files.roles)
    return {finding.pointer: (finding.code, finding.message) for finding in found}


def test_findings_say_what_is_expected(access: Any) -> None:
    """Unknown names are in ASCII, cut off, and have a hint."""
    role, pattern = "a" * 62, "customers." + "b" * 90
    data = {"email": "Ada@example.com", "role": role, "assignment": [pattern], "password": "ada@example.COM", "id": "1"}
    found = findings(access, data)
    code, message = found.pop("/role")
    assert code == "invalid_value"
    assert message.startswith(f"Unknown role '{'a' * 60}'; ")
    code, message = found.pop("/assignment/0")
    assert code == "invalid_value"
    assert message.startswith(f"Unknown feature key or pattern 'customers.{'b' * 70}'; ")
    assert found == {
        "/password": ("invalid_value", "The password must not be the email address."),
        "/id": ("read_only", "The server sets `id`. Leave it out."),
    }


def test_no_more_than_twenty_unknown_patterns_are_named(access: Any) -> None:
    """A body of 256 KiB has room for thousands; to find the nearest known one of each would take the loop seconds."""
    patterns = ["customers.view", *(f"made.up{at}" for at in range(10_000))]
    found = findings(access, {"email": "ada@example.com", "role": "agent", "assignment": patterns})
    assert [*found] == ["/assignment", *(f"/assignment/{at}" for at in range(1, 21))]


@pytest.mark.parametrize(
    ("sent", "name"), [(" ", None), ("\u200b", None), ("\u2800", None), (" Ada\u00a0", "Ada"), ("@ada", "@ada")]
)
def test_a_name_that_shows_nothing_is_none(access: Any, sent: str, name: str | None) -> None:
    """Pages filter records by the user's name, and show the email address of a user who has none."""
    data = {"email": "ada@example.com", "role": "agent", "name": sent}
    wanted, _ = read_input(data, None, access.files.catalog, access.files.roles)
    assert wanted is not None
    assert wanted.name == name


async def test_values_that_stay_are_not_checked_again(access: Any) -> None:
    """A role or a module that left the files since is no reason to refuse another change of the user."""
    stored = (await access.user()).user
    before = msgspec.structs.replace(stored, role="clerk", assignment=("leads.view",))
    assert findings(access, GONE | {"name": "Ada"}, before) == {}
    assert set(findings(access, GONE, stored)) == {"/role", "/assignment/0"}
    assert set(findings(access, GONE)) == {"/role", "/assignment/0"}

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from crm_core.model.keys import Key, Roster, TenantRoster

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({}, "active"),
        ({"not_before": NOON + HOUR}, "staged"),
        ({"not_before": NOON}, "active"),
        ({"not_after": NOON}, "active"),
        ({"not_after": NOON - HOUR}, "expired"),
        ({"not_after": NOON - HOUR, "revoked": True}, "revoked"),
        ({"not_before": NOON + HOUR, "revoked": True}, "revoked"),
    ],
)
def test_state(members: dict[str, Any], state: str) -> None:
    """A key is active from its first moment to its last, and revoked regardless of its dates."""
    assert Key(1, b"k" * 32, **members).state(NOON) == state


def test_the_secret_stays_out_of_repr() -> None:
    """Printing a roster shows no secret."""
    roster = Roster({"northwind": TenantRoster(keys={1: Key(1, b"open sesame" * 4)})})
    assert "sesame" not in repr(roster)


def test_fingerprint() -> None:
    """A fingerprint is sixteen hex digits of SHA-256 over the key's bytes."""
    assert Key(1, b"").fingerprint == "sha256:e3b0c44298fc1c14"


def test_active_keys_newest_first() -> None:
    """The active keys of a tenant come with the highest version first, without those that are staged or revoked."""
    keys = {number: Key(number, bytes(32), revoked=number == 3) for number in (1, 3, 2)}
    keys |= {4: Key(4, bytes(32), not_before=NOON + HOUR)}
    assert [key.version for key in TenantRoster(keys=keys).active(NOON)] == [2, 1]


def test_each_tenant_has_its_own_entry() -> None:
    """The keys of one tenant are not those of another."""
    north = TenantRoster(keys={1: Key(1, b"north")})
    assert Roster({"north": north, "south": TenantRoster()}).of("north") == north


def test_a_tenant_without_an_entry_is_disabled() -> None:
    """The receiver of a tenant that the roster does not name is off and has no keys."""
    entry = Roster({}).of("northwind")
    assert not entry.enabled
    assert not entry.keys


def test_a_key_is_narrowed_by_section_and_source() -> None:
    """A key without types and sources has no limits; one with them is limited to them."""
    narrow = Key(1, bytes(32), types=frozenset({"alpha"}), sources=(ip_network("10.0.0.0/8"),))
    assert Key(1, bytes(32)).admits("beta")
    assert Key(1, bytes(32)).comes_from(None)
    assert narrow.comes_from("10.1.2.3")
    assert narrow.admits("alpha")
    assert not narrow.admits("beta")
    assert not narrow.comes_from("192.0.2.1")


@pytest.mark.parametrize(
    ("members", "kinds", "serves"),
    [
        ({}, ("secret",), True),
        ({}, ("public",), False),
        ({"kind": "public"}, ("secret",), False),
        ({"kind": "public"}, ("secret", "public"), True),
        ({"schemes": frozenset({"one"})}, ("secret",), True),
        ({"schemes": frozenset({"other"})}, ("secret",), False),
        ({"schemes": frozenset({"one"}), "kind": "public"}, ("secret",), False),
    ],
)
def test_a_key_serves_schemes_of_its_kind_that_it_is_not_narrowed_from(
    members: dict[str, Any], kinds: tuple[Any, ...], serves: bool
) -> None:
    """The kind is never overruled: a public key is no secret, also for a scheme that the roster names."""
    assert Key(1, bytes(32), **members).serves("one", kinds) is serves

"""The limit of unverified attempts, and the nonces of health."""

from __future__ import annotations

from itertools import count

import pytest

from crm_core.errors import ReplayedNonce
from crm_core.sync.limits import UnverifiedLimit
from sync_world import Clock, World


def limit(clock: Clock, per_minute: int = 2) -> UnverifiedLimit:
    numbers = count(1)
    return UnverifiedLimit(per_minute, clock, lambda: f"entry-{next(numbers)}")


def test_one_entry_counts_all_that_follow_within_the_minute() -> None:
    """The entry has the seconds until the next minute, when counting starts again."""
    clock = Clock()
    counted = limit(clock)
    clock.forward(20)
    assert [counted.spend("192.0.2.1", "a") for _ in range(2)] == [None, None]
    over = [counted.spend("192.0.2.1", "a") for _ in range(3)]
    assert [(one.entry_id, one.count, one.retry_after) for one in over if one] == [
        ("entry-1", 1, 41),
        ("entry-1", 2, 41),
        ("entry-1", 3, 41),
    ]
    clock.forward(40)
    assert counted.spend("192.0.2.1", "a") is None


def test_tenants_share_the_count_of_a_source_but_not_its_entry() -> None:
    """The log of a tenant counts only its own attempts."""
    counted = limit(Clock(), per_minute=0)
    first, second = counted.spend("192.0.2.1", "a"), counted.spend("192.0.2.1", "b")
    assert first is not None
    assert second is not None
    assert (first.count, second.count) == (1, 1)
    assert first.entry_id != second.entry_id


def test_a_source_without_an_address_has_one_count() -> None:
    """Sockets and unknown sources share a count, but not with addresses."""
    counted = limit(Clock(), per_minute=1)
    assert [counted.spend(source, "a") is None for source in (None, "unix", "192.0.2.1", None)] == [
        True,
        True,
        True,
        False,
    ]


def test_mapped_addresses_count_as_what_they_map() -> None:
    """An IPv4 address written as IPv6 counts as the IPv4 address."""
    counted = limit(Clock(), per_minute=1)
    assert counted.spend("192.0.2.1", "a") is None
    assert counted.spend("::ffff:192.0.2.1", "a") is not None


def test_the_table_of_sources_is_bounded() -> None:
    """Once it is full, new sources share one count; the others continue with their own."""
    counted = limit(Clock(), per_minute=5)
    for number in range(10_000):
        counted.spend(f"10.0.{number >> 8}.{number & 255}", "a")
    assert sum(counted.spend(f"11.0.0.{number}", "a") is None for number in range(100)) == 5
    assert counted.spend("10.0.0.0", "a") is None
    assert len(counted._counts) <= 10_001


async def test_a_health_request_is_answered_once(world: World) -> None:
    """The second request is refused and names the first."""
    push = world.push(raw=b"", kind="health")
    await world.services.receiver.verify_health(push)
    with pytest.raises(ReplayedNonce) as refused:
        await world.services.receiver.verify_health(push)
    assert refused.value.evidence["original"]["request_id"] == push.request_id

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from crm_core.manager.limits import Timeouts
from crm_core.manager.routes import Instance
from crm_core.manager.upstream import Upstream
from crm_core.settings.instances import UpstreamAddress as Address


@pytest.fixture
async def three() -> AsyncIterator[list[Upstream]]:
    """Three upstreams without a request yet."""
    made = [
        Upstream(Address(url=f"http://127.0.0.1:{port}"), Timeouts(), lambda: datetime(2026, 11, 24, tzinfo=UTC))
        for port in (1, 2, 3)
    ]
    yield made
    for each in made:
        await each.close()


async def test_equals_take_turns(three: list[Upstream]) -> None:
    """Each upstream is first as often as the others."""
    instance = Instance(three)
    firsts = [instance.order()[0] for _ in range(6)]
    assert [firsts.count(each) for each in three] == [2, 2, 2]


async def test_the_busy_and_the_down_come_later(three: list[Upstream]) -> None:
    """Those that are up come first, the least busy before the others; one that is down is the last resort."""
    first, second, third = three
    instance = Instance(three)
    first.mark_up()
    second.record_failure("connection refused")
    with ExitStack() as active:
        active.enter_context(first)
        active.enter_context(first)
        active.enter_context(third)
        for _ in range(3):
            assert list(instance.order()) == [third, first, second]
    second.mark_up()
    assert {instance.order()[0] for _ in range(3)} == set(three)


async def test_one_without_its_database_comes_before_the_down(three: list[Upstream]) -> None:
    """It refuses quickly and is never busy, so without its place it would attract the requests of all."""
    first, second, third = three
    instance = Instance(three)
    first.record_failure("connection refused")
    second.storage_up = False
    with third, third:
        assert list(instance.order()) == [third, second, first]


async def test_what_operators_see(three: list[Upstream]) -> None:
    """State, since when, requests in progress and the last error; one failed request takes no upstream down."""
    upstream = three[0]
    assert upstream.report()["state"] == "unknown"
    upstream.mark_up()
    upstream.record_failure("it closed the connection before it answered", down=False)
    with upstream:
        report = upstream.report()
    assert report == {
        "upstream": "http://127.0.0.1:1",
        "state": "up",
        "storage_up": True,
        "since": "2026-11-24T00:00:00.000Z",
        "in_flight": 1,
        "last_error": {
            "at": "2026-11-24T00:00:00.000Z",
            "what": "it closed the connection before it answered",
        },
    }
    upstream.drained = True
    assert (upstream.report()["state"], upstream.open) == ("drained", False)

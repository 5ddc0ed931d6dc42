from __future__ import annotations

import logging
import resource

import pytest
import pytest_asyncio

from crm_core.errors import CrmError
from crm_core.server.limits import ConnectionLimit, connections_for, raise_open_files


class Client:
    """A connection that records what happened to it."""

    def __init__(self) -> None:
        self.was_shed = False
        self.error: CrmError | None = None

    def shed(self) -> None:
        self.was_shed = True

    def refuse(self, error: CrmError) -> None:
        self.error = error


@pytest_asyncio.fixture
async def limit() -> ConnectionLimit:
    """A limit of four connections."""
    return ConnectionLimit(4)


def admitted(limit: ConnectionLimit, count: int) -> list[Client]:
    clients = [Client() for _ in range(count)]
    for client in clients:
        limit.admit(client)
    return clients


async def test_the_connection_idle_longest_makes_room(limit: ConnectionLimit) -> None:
    """A finished response makes a connection the youngest of the idle ones."""
    first, second, *_ = clients = admitted(limit, 4)
    limit.busy(first)
    limit.idle(first)
    limit.admit(Client())
    assert [client.was_shed for client in clients] == [False, True, False, False]
    assert second.error is None


async def test_busy_connections_stay_and_a_new_one_is_refused(limit: ConnectionLimit) -> None:
    """With a request on every connection a new one is 503, and admitted again once one is idle."""
    clients = admitted(limit, 4)
    for client in clients:
        limit.busy(client)
    late = Client()
    limit.admit(late)
    assert late.error is not None
    assert (late.error.status, late.error.code, late.error.retry_after) == (503, "too_many_connections", 1)
    limit.idle(clients[2])
    limit.admit(Client())
    assert [client.was_shed for client in clients] == [False, False, True, False]


async def test_refused_connections_are_limited_too(limit: ConnectionLimit) -> None:
    """Connections that still read their refusal are few; more are closed without one."""
    for client in admitted(limit, 4):
        limit.busy(client)
    late = admitted(limit, 5)
    assert [client.error is not None for client in late] == [True, True, False, False, False]
    assert [client.was_shed for client in late] == [False, False, True, True, True]


async def test_a_closed_connection_leaves_room(limit: ConnectionLimit) -> None:
    """A connection that has closed, busy or not, counts no more."""
    clients = admitted(limit, 4)
    limit.busy(clients[0])
    limit.remove(clients[0])
    limit.admit(Client())
    assert not any(client.was_shed for client in clients)
    limit.idle(clients[0])
    limit.admit(Client())
    assert [client.was_shed for client in clients] == [False, True, False, False]


async def test_the_log_has_one_line_for_many(limit: ConnectionLimit, caplog: pytest.LogCaptureFixture) -> None:
    """The first connection that is shed is logged immediately, the others of that minute are not."""
    with caplog.at_level(logging.WARNING, "crm.server"):
        admitted(limit, 40)
    (record,) = caplog.records
    assert record.getMessage() == "connections_shed"
    assert record.__dict__["members"] == {"shed": 1, "refused": 0, "limit": 4}


@pytest.mark.parametrize(("files", "most"), [(200, 66), (1, 1), (65_536, 16_384)])
def test_a_third_of_the_open_files_is_for_connections(files: int, most: int) -> None:
    """The store needs files too; a high limit is capped."""
    assert connections_for(files) == most


def test_the_limit_of_open_files_is_raised() -> None:
    """The soft limit becomes the hard one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        raise_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

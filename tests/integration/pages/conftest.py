from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.box import TENANT, Box, roster_key
from visitor import EVERYTHING, Visitor, with_users


@pytest.fixture(scope="package")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """An instance with a manager, an agent and an admin, who may use customers, deals and tasks."""
    folder: Path = tmp_path_factory.mktemp("pages")
    made = Box(folder, tenants={TENANT: {"keys": [roster_key()]}}).create_tenants().start()
    try:
        with_users(made)
        made.applied("features", EVERYTHING)
        yield made
    finally:
        assert made.stop() == 0


@pytest.fixture(scope="package")
def grace(box: Box) -> Iterator[Visitor]:
    """The manager."""
    visitor = Visitor(box, "manager")
    yield visitor
    visitor.client.close()


@pytest.fixture(scope="package")
def alan(box: Box) -> Iterator[Visitor]:
    """An agent."""
    visitor = Visitor(box, "agent")
    yield visitor
    visitor.client.close()


@pytest.fixture(scope="package")
def ida(box: Box) -> Iterator[Visitor]:
    """An admin."""
    visitor = Visitor(box, "admin")
    yield visitor
    visitor.client.close()

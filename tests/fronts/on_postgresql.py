"""Runs the contract's tests on PostgreSQL: ``pytest -p fronts.on_postgresql tests/contract``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from contract.box import Box
from postgresql_server import server

OF_FILES = {
    "test_storage_trouble.py": "damage of files",
    "test_migrate.py": "it has a backend itself",
    "test_a_second_server_names_the_first": "several servers may share a database",
    "test_its_secret_is_sealed_bound_and_shown_nowhere": "it reads the files of a tenant",
    "test_an_instance_runs_on_a_backend_from_outside": "it has a backend itself",
    "test_a_mistake_in_the_options_of_the_storage_has_its_place": "it has a backend itself",
}
_stack = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Give each instance that the tests start a database with the schema."""
    running = _stack.enter_context(server())
    running.migrated  # noqa: B018 -- made now, as the template of all others
    write = Box.write_settings

    def write_on_postgresql(box: Any, over: Mapping[str, Any]) -> None:
        if not hasattr(box, "dsn"):
            box.dsn = running.copy()
        write(box, {"storage": {"backend": "postgresql", "dsn": box.dsn, "pool": 4}, **over})

    Box.write_settings = write_on_postgresql  # type: ignore[method-assign]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server."""
    _stack.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is about files, with the reason."""
    for item in items:
        for name, why in OF_FILES.items():
            if name in (item.path.name, item.name.partition("[")[0]):
                item.add_marker(pytest.mark.skip(reason=why))

"""A pytest plugin that runs those tests first that noticed other mutants, of the same function before all others.

Most mutants then cost one test or two, where the tests of a function that every push calls take seconds. Its profile
of hypothesis looks for no smaller example, as any one will do.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import Phase, settings

settings.register_profile(
    "mutants", deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)


def _function() -> str:
    """The mutated function; empty where mutmut runs the tests for another purpose."""
    function, _, number = os.environ.get("MUTANT_UNDER_TEST", "").rpartition("__mutmut_")
    return function if number.isdigit() else ""


def _file(config: pytest.Config) -> Path:
    return config.rootpath / "noticed.txt"


def pytest_configure() -> None:
    """Replace the profile that ``conftest.py`` has loaded, before any test is imported."""
    settings.load_profile("mutants")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort by what each test noticed; among equals, mutmut's order by time stays."""
    if not (function := _function()) or not _file(config).exists():
        return
    noticed = [line.split(" ", 1) for line in _file(config).read_text().splitlines()]
    here = Counter(test for other, test in noticed if other == function)
    anywhere = Counter(test for _, test in noticed)
    items.sort(key=lambda item: (-here[item.nodeid], -anywhere[item.nodeid]))


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Write down which test failed for which function."""
    if (function := _function()) and call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
        with _file(item.config).open("a") as file:
            file.write(f"{function} {item.nodeid}\n")

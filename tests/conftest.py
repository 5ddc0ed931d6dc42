from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {
    "chromium": "chromium",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "php": "php-cli",
    "go": "golang-go",
    "systemd-analyze": "systemd",
}
"""The system programs that tests ask for by ``@pytest.mark.system(name)``, and Debian's packages of them."""

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_missing = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_missing] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: the browser's driver keeps an event loop running, beside which no asynchronous test runs."""
    items.sort(key=lambda item: "browser" in item.path.parts)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose system program is not there."""
    names = [str(mark.args[0]) for mark in item.iter_markers("system")]
    if item.get_closest_marker("browser") is not None:
        names.append("chromium")
    for name in names:
        if shutil.which(name, path=_PATH) is None:
            counts = item.config.stash[_missing]
            counts[name] = counts.get(name, 0) + 1
            pytest.skip(f"{name} is not installed: apt-get install -y {PACKAGES[name]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly what was not tested, and the one line that mends it."""
    for name, count in config.stash[_missing].items():
        terminalreporter.write_line(
            f"NOT TESTED: {count} tests need {name}. To mend: apt-get install -y {PACKAGES[name]}", red=True, bold=True
        )

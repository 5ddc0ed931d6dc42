from __future__ import annotations

import gc
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from chromium import chromium
from rewritten import rewrite_share

PACKAGES = {
    "chromium": "chromium",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "pgbouncer": "pgbouncer",
    "php": "php-cli",
    "go": "golang-go",
    "systemd-analyze": "systemd",
}
"""The system programs that tests require by ``@pytest.mark.system(name)``, and Debian's packages of them."""

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
# Examples that are slow, or slow to make, on a busy machine are no failure.
settings.register_profile("crm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crm")
_MISSING = re.compile(r"\S+ is not installed: apt-get install -y [\w-]+")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Orders in which every test must pass as well."""
    parser.addoption("--reverse", action="store_true", help="run the tests from the last to the first")
    parser.addoption("--random-order", type=int, metavar="SEED", help="shuffle the modules, and the tests in each")


def pytest_configure(config: pytest.Config) -> None:
    # Tests and the processes that they start share compiled files: else each of hundreds compiles the whole product.
    # Python reads and writes them where pip has already put those of all other packages.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # httpcore looks for it up to ten times in each request; it is not installed, and a failed search takes long.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
    # Runs of pytest that tests start need a second less without it.
    os.environ.setdefault("PYTEST_ADDOPTS", "-pno:schemathesis")


def pytest_sessionstart(session: pytest.Session) -> None:
    gc.disable()
    rewrite_share(session.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests last: the browser's driver keeps an event loop running, so no asynchronous test runs after them."""
    if config.getoption("reverse"):
        items.reverse()
    if (seed := config.getoption("random_order")) is not None:
        items[:] = _shuffled(items, random.Random(seed))
    items.sort(key=lambda item: "browser" in item.path.parts)


def _shuffled(items: list[pytest.Item], source: random.Random) -> list[pytest.Item]:
    """Modules stay together, as what they share is started once."""
    modules: dict[object, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    groups = list(modules.values())
    source.shuffle(groups)
    for group in groups:
        source.shuffle(group)
    return [item for group in groups for item in group]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Modules and tests stay to the end, so that no search for garbage need go through them."""
    gc.enable()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose system program is not there."""
    names = [str(mark.args[0]) for mark in item.iter_markers("system")]
    if item.get_closest_marker("browser") is not None:
        names.append("chromium")
    for name in names:
        if chromium() is None if name == "chromium" else shutil.which(name, path=_PATH) is None:
            pytest.skip(f"{name} is not installed: apt-get install -y {PACKAGES[name]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested, and the one line that fixes it."""
    reasons = (_MISSING.search(str(report.longrepr)) for report in terminalreporter.getreports("skipped"))
    for reason, count in Counter(found[0] for found in reasons if found).items():
        terminalreporter.write_line(f"NOT TESTED: {count} tests, as {reason}", red=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def _quick_instances() -> None:
    """Instances in this process hash passwords with little cost, and clients share the certificates they trust.

    The true cost is that of a test of ``Passwords``.
    """
    from plain_http import share_certificates
    from quick_passwords import hash_quickly

    hash_quickly()
    share_certificates()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A PostgreSQL server, started for the first test that wants it."""
    from postgresql_server import server

    with server() as running:
        yield running

"""Runs the contract's tests through a front: ``pytest -p fronts.through --front manager tests/contract``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from contract.box import Box
from fronts.processes import manager, nginx

FRONTS = {"manager": manager, "nginx": nginx}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--front", choices=sorted(FRONTS), required=True, help="what to put in front of each instance")


def pytest_configure(config: pytest.Config) -> None:
    """Put the front before each instance that the tests start, and let them talk to it alone."""
    front = FRONTS[config.getoption("--front")]
    start, stop = Box.start, Box.stop

    def start_behind(box: Any) -> Box:
        start(box)
        running = box.front = ExitStack()
        upstream = str(box.client.base_url).rstrip("/")
        home = box.folder / "front-home"
        home.mkdir(exist_ok=True)
        url = running.enter_context(front(home, {"eu1": [upstream]})).url
        box.client.close()
        box.client = httpx.Client(base_url=url, timeout=30)
        return box  # type: ignore[no-any-return]

    def stop_behind(box: Any, *arguments: Any) -> int:
        if (running := box.__dict__.pop("front", None)) is not None:
            running.close()
        return stop(box, *arguments)

    Box.start, Box.stop = start_behind, stop_behind  # type: ignore[method-assign,assignment]

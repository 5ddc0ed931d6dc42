from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contract.box import Box

Boxes = Callable[..., Box]


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxes]:
    """Makes running instances, each in its own folder; all are stopped when the module's tests are done."""
    made: list[Box] = []

    def make(*, start: bool = True, **parts: Any) -> Box:
        box = Box(tmp_path_factory.mktemp("box") / "instance", **parts).create_tenants()
        made.append(box)
        return box.start() if start else box

    yield make
    for box in made:
        box.stop()


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with the tenant northwind and its key of version 2."""
    return boxes()

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from served import Instance, instance


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Instance]:
    """A running instance of its own."""
    async with instance(tmp_path) as running:
        yield running

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from served import Instance, instance


@pytest.fixture
async def live(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Instance]:
    """A fresh running instance; a parameter: more config files."""
    async with instance(tmp_path, getattr(request, "param", None)) as running:
        yield running

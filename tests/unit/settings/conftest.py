from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from crm_core.errors import SetupError
from crm_core.settings.roster import load_roster

SECTIONS = ("alpha", "beta")
SCHEMES = ("crm-sync-v1", "standard-webhooks")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a file of the config folder, its indentation taken off."""

    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(dedent(text).removeprefix("\n"), encoding="utf-8")
        return path

    return make


@pytest.fixture
def roster(write: Any) -> Any:
    """Loads a roster from its text."""

    def load(text: str, **environ: str) -> Any:
        return load_roster(write("keys.yaml", text), sections=SECTIONS, schemes=SCHEMES, environ=environ)

    return load


@pytest.fixture
def problems() -> Any:
    """The problems that a call reports."""

    def reported(call: Any, *args: Any, **keywords: Any) -> list[str]:
        with pytest.raises(SetupError) as caught:
            call(*args, **keywords)
        return list(caught.value.problems)

    return reported


@pytest.fixture
def clock() -> Any:
    """A clock that ticks a second each time it is read."""
    ticks = iter(range(10_000))
    return lambda: datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=next(ticks))

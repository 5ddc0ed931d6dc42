"""The browser of the tests."""

from __future__ import annotations

import shutil

PROGRAMS = ("chromium-headless-shell", "chromium")
"""The first one that is there draws the pages: the shell is the same engine without windows, for half the CPU."""


def chromium() -> str | None:
    """The path of the browser, or None."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)

"""Folders that this process may not search, also if the tests run as root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def out_of_reach(folder: Path) -> Iterator[None]:
    """A time in which this process may not search a folder."""
    me = os.geteuid()
    folder.chmod(0)
    os.seteuid(me or 65534)  # root may search every folder
    try:
        yield
    finally:
        os.seteuid(me)
        folder.chmod(0o700)

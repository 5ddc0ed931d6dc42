"""Libraries from npm, which tests of other people's programs install once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def install(folder: Path, names: Sequence[str], **package: str) -> None:
    """Install libraries where they are not there yet; skips the test where the network does not let it."""
    if all((folder / "node_modules" / name.partition("@")[0]).exists() for name in names):
        return
    (folder / "package.json").write_text(json.dumps({"private": True, **package}))
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *names]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=100)
    except subprocess.CalledProcessError as failed:
        pytest.skip(f"npm cannot install {', '.join(names)}, so they are not tried: {failed.stderr[-300:]}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm has not installed {', '.join(names)} within 100 seconds, so they are not tried")

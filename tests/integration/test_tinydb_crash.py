from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "crash" / "run.py"


@pytest.mark.slow
def test_kill_at_random_moments(tmp_path: Path) -> None:
    """Twenty kill -9 at random moments of commits, folds and backups lose no answered commit."""
    done = subprocess.run(
        [sys.executable, str(RUN), "--rounds", "20", "--seed", "7", "--folder", str(tmp_path)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["answered"] > 100
    assert report["lost"] == 0
    assert report["dangerous"] >= 4

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHERE_A_FRONT_COUNTS = ("test_addresses.py", "test_bodies.py", "test_verification.py")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("front", ["manager", pytest.param("nginx", marks=pytest.mark.system("nginx"))])
def test_the_contract_passes_through_a_front(front: str) -> None:
    """Addresses, bodies and signatures follow the contract through a front too (all of it: make contract)."""
    words = ["-q", "-p", "no:cacheprovider", "-p", "fronts.through", "--front", front]
    files = [ROOT / "tests" / "contract" / name for name in WHERE_A_FRONT_COUNTS]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *files],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]

"""``crm apply`` with 200 tenants of three sections: all changed against their bare pushes, and nothing changed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import yaml

from benchmarks import load
from benchmarks.frame import Measurement
from benchmarks.serving import Product, environ, product

TENANTS = [f"tenant-{number:03}" for number in range(200)]
PARALLEL = 8


def sections(number: int) -> dict[str, object]:
    """Three sections that differ with each number."""
    return {
        "branding": {"title": f"Northwind {number}", "colors": {"primary": "#0b5fff", "sidebar": "#10243e"}},
        "features": {"plan": {"code": f"plan-{number}", "name": "Growth", "features": ["customers.*", "deals.*"]}},
        "workspace": {"locale": "de-DE", "timezone": "Europe/Berlin", "date_format": "d.M.y" + " " * (number % 2)},
    }


def write(folder: Path, number: int) -> None:
    """The folder as it is desired."""
    for tenant in TENANTS:
        (folder / tenant).mkdir(parents=True, exist_ok=True)
        for name, data in sections(number).items():
            (folder / tenant / f"{name}.yaml").write_text(yaml.safe_dump(data))


def applied(served: Product, folder: Path, code: int = 0) -> float:
    """Seconds of ``crm apply``, its start included."""
    words = [sys.executable, "-m", "crm_core.cli", "apply", str(folder), "--parallel", str(PARALLEL)]
    compiled = {**environ(), "PYTHONPYCACHEPREFIX": str(served.config.parent / "compiled")}
    compiled.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    done = subprocess.run([*words, "--config", str(served.config)], env=compiled, capture_output=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return time.perf_counter() - began


def pushed(served: Product, number: int) -> float:
    """Seconds that the server takes for the same pushes, signed beforehand, one after the other."""
    requests = [served.push(tenant, "combined", sections(number), number * 1000) for tenant in TENANTS]
    return len(TENANTS) / load.run(load.Job(served.port, [requests])).only(200).rate


def measurements(folder: Path) -> Iterator[Measurement]:
    """The command against the bare pushes; then the command alone, for each tenant."""
    desired, numbers = folder / "desired", count(1)

    def changed() -> float:
        write(desired, next(numbers))
        return applied(served, desired)

    with product(folder, TENANTS) as served:
        yield Measurement(
            name="fleet.changed", what=f"crm apply to {len(TENANTS)} changed tenants against their bare pushes",
            unit="x", most=1.5, rounds=3, a=changed, b=lambda: pushed(served, next(numbers)),
        )  # fmt: skip
        write(desired, next(numbers))
        applied(served, desired)
        yield Measurement(
            name="fleet.unchanged", what="crm apply to tenants that are as desired, for each", unit=" ms", most=20,
            rounds=3, a=lambda: applied(served, desired) / len(TENANTS) * 1000,
        )  # fmt: skip

"""Run the benchmarks, print a table, write benchmarks.json; exit 1 where a floor or ceiling is missed.

``PYTHONPATH=tests python -m benchmarks [NAME ...]``: all, or the modules (``writes``) and measurements (``writes.one``)
named; ``writes.*`` takes all that begin so. A module that has none of them is not set up.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.frame import Result

HERE = Path(__file__).parent
COLUMNS = "{:<32} {:>10} {:>10} {:>10}  {:<12} {:<13} {}\n"


def chosen(names: Sequence[str], module: str, measurement: str) -> bool:
    """Whether a measurement was asked for."""
    return not names or any(name == module or fnmatchcase(measurement, name) for name in names)


def concerns(names: Sequence[str], module: str) -> bool:
    """Whether a module can have what was asked for: the names of ``bench_writes.py`` begin with ``writes.``."""
    return not names or any(name.split(".")[0] in {module, "*"} for name in names)


def results(names: Sequence[str], module: str, home: Path | None, rounds: int | None) -> Iterator[Result]:
    """Take the measurements of a module that were asked for, in its order."""
    measurements = importlib.import_module(f"benchmarks.bench_{module}").measurements
    with (
        tempfile.TemporaryDirectory(prefix=f"bench-{module}-", dir=home) as folder,
        closing(measurements(Path(folder))) as offered,
    ):
        for measurement in offered:
            if chosen(names, module, measurement.name):
                yield (replace(measurement, rounds=rounds) if rounds else measurement).take()


def figure(number: float) -> str:
    """Three or four digits that say something."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def line(result: Result) -> str:
    """A row of the table."""
    bound = ""
    if result.least is not None:
        bound = f">= {figure(result.least)}"
    elif result.most is not None:
        bound = f"<= {figure(result.most)}"
    if result.goal is not None:
        bound += f" ({figure(result.goal)})"
    shown = [f"{figure(number)}{result.unit}" for number in (result.median, min(result.rounds), max(result.rounds))]
    cpu = " : ".join(f"{seconds * 1e6:.0f}" for seconds in result.cpu if seconds is not None)
    return COLUMNS.format(result.name, *shown, bound, result.verdict, result.what + (f" (CPU {cpu} us)" if cpu else ""))


def machine() -> dict[str, object]:
    """The machine that the figures are of."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_mb": memory >> 20,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((each.split(":", 1)[1].strip() for each in lines if each.startswith("model name")), "")


def commit() -> str:
    """The commit of the working copy, with ``+`` where it is edited; empty outside one."""
    reported = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
        cwd=HERE, capture_output=True, check=False, text=True,
    )  # fmt: skip
    return reported.stdout.strip()


def report(taken: Sequence[Result], seconds: float) -> dict[str, object]:
    """The contents of benchmarks.json."""
    return {
        "commit": commit(),
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(seconds, 1),
        "machine": machine(),
        "results": [
            asdict(result)
            | {"median": result.median, "min": min(result.rounds), "max": max(result.rounds), "holds": result.holds}
            for result in taken
        ],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--folder", type=Path, help="where to work: choose the disk that is to be measured")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="file of the figures")
    options = parser.parse_args(arguments)
    modules = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    began = time.monotonic()
    taken: list[Result] = []
    broken = False
    sys.stdout.write(COLUMNS.format("", "median", "min", "max", "bound (goal)", "", ""))
    for module in modules:
        if not concerns(options.names, module):
            continue
        try:
            for result in results(options.names, module, options.folder, options.rounds):
                taken.append(result)
                sys.stdout.write(line(result))
                sys.stdout.flush()
        except Exception:  # noqa: BLE001 -- one broken module must not hide what the others measure
            broken = True
            sys.stdout.write(f"{module}: broke off\n{traceback.format_exc()}")
    options.json.write_text(json.dumps(report(taken, time.monotonic() - began), indent=1) + "\n", encoding="utf-8")
    missed = [result.name for result in taken if not result.holds]
    sys.stdout.write(f"{len(taken)} measurements in {time.monotonic() - began:.0f} s, written to {options.json}\n")
    if missed:
        sys.stdout.write(f"missed: {', '.join(missed)}\n")
    if not taken:
        sys.stdout.write("nothing was measured: no measurement has such a name\n")
    return 1 if missed or broken or not taken else 0


if __name__ == "__main__":
    sys.exit(main())

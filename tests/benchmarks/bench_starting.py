"""What it takes to start: processor time of a small command, and of a server until it accepts requests."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame import Measurement, Side
from contract.box import Box

SMALL, SERVER = "import click, yaml, pluggy", "import quart, uvicorn"
"""The libraries without which neither can be; the least that each could cost."""


def spent(environ: dict[str, str], *words: str) -> float:
    """Seconds of processor time, of user and system, that a process takes from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], env=environ, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def importing(environ: dict[str, str], statement: str) -> Side:
    """Processor time of a process that only imports."""
    return lambda: spent(environ, "-c", statement)


def command(environ: dict[str, str], config: Path) -> Side:
    """Processor time of ``crm tenant list``."""
    crm = str(Path(sys.executable).parent / "crm")
    return lambda: spent(environ, crm, "tenant", "list", "--config", str(config))


def ready(box: Box) -> Side:
    """Processor time of ``crm serve`` until it prints its address, its threads counted."""

    def side() -> float:
        box.start()
        seconds = box.spent()
        box.stop()
        return seconds

    return side


def measurements(folder: Path) -> Iterator[Measurement]:
    """Each in seconds, and against what its libraries cost alone. Compiled files are written in the first round."""
    box = Box(folder / "instance", environ={"PYTHONPYCACHEPREFIX": str(folder / "compiled")}).create_tenants()
    box.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    listed, served = command(box.environ, box.config), ready(box)
    yield Measurement(name="starting.command", what="CPU of crm tenant list", unit=" s", a=listed, most=0.4, goal=0.3)
    yield Measurement(
        name="starting.command_ratio", what=f"the same against {SMALL}",
        a=listed, b=importing(box.environ, SMALL), most=4, goal=3.5,
    )  # fmt: skip
    yield Measurement(
        name="starting.server", what="CPU of crm serve until it is ready", unit=" s", a=served, most=0.6, goal=0.5
    )
    yield Measurement(
        name="starting.server_ratio", what=f"the same against {SERVER}",
        a=served, b=importing(box.environ, SERVER), most=1.6, goal=1.4,
    )  # fmt: skip

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.__main__ import main
from benchmarks.frame import Measurement


def offered(monkeypatch: pytest.MonkeyPatch, *measurements: Measurement) -> None:
    """Let the module ``writes`` offer these instead."""
    module = ModuleType("benchmarks.bench_writes")

    def offer(folder: Path) -> Iterator[Measurement]:
        assert folder.is_dir()
        yield from measurements

    module.measurements = offer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "benchmarks.bench_writes", module)


def test_rounds_are_interleaved() -> None:
    """A and B are taken in turn, each first every other round, and the warm rounds do not count."""
    order: list[str] = []

    def a() -> float:
        order.append("a")
        return float(len(order))

    def b() -> float:
        order.append("b")
        return 2.0

    result = Measurement(name="x", what="", a=a, b=b, rounds=3, warm=1).take()
    assert "".join(order) == "abbaabba"
    assert result.a == (4.0, 5.0, 8.0)
    assert result.rounds == (2.0, 2.5, 4.0)
    assert result.median == 2.5
    apart = Measurement(name="x", what="", a=lambda: 5.0, b=b, compare="difference").take()
    assert apart.median == 3.0


def test_bounds() -> None:
    """The median decides against a floor or a ceiling, and a goal is reported apart from what merely holds."""

    def verdict(figure: float, **bounds: float) -> str:
        return Measurement(name="x", what="", a=lambda: figure, rounds=1, warm=0, **bounds).take().verdict  # type: ignore[arg-type]

    assert verdict(0.4, least=0.5, goal=0.9) == "MISSED"
    assert verdict(0.6, least=0.5, goal=0.9) == "holds"
    assert verdict(0.9, least=0.5, goal=0.9) == "goal reached"
    assert verdict(1.3, most=1.25, goal=1.1) == "MISSED"
    assert verdict(1.2, most=1.25) == "holds"
    assert verdict(1.1, most=1.25, goal=1.1) == "goal reached"
    assert not verdict(7)


def test_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A run prints a line and writes the figures for each measurement asked for, and exits 0 where all hold."""
    good = Measurement(name="writes.good", what="is fine", a=lambda: 3.0, b=lambda: 2.0, unit="x", least=1.0, rounds=2)
    bad = Measurement(name="writes.bad", what="is not", a=lambda: 3.0, most=1.0)
    offered(monkeypatch, good, bad)
    target = tmp_path / "figures.json"
    assert main(["writes.good", "--json", str(target), "--rounds", "3"]) == 0
    assert "1.5x" in capsys.readouterr().out
    reported = json.loads(target.read_text())
    (result,) = reported["results"]
    assert (result["name"], result["rounds"], result["median"]) == ("writes.good", [1.5, 1.5, 1.5], 1.5)
    assert reported["machine"]["cpus"] >= 1
    assert main(["writes", "--json", str(target)]) == 1
    assert "missed: writes.bad" in capsys.readouterr().out
    assert main(["writes.nothing", "--json", str(target)]) == 1


def test_broken_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A measurement that raises is reported and makes the run fail; what was measured before is kept."""
    good = Measurement(name="writes.good", what="", a=lambda: 1.0)
    offered(monkeypatch, good, Measurement(name="writes.broken", what="", a=lambda: 1 / 0))
    assert main(["writes", "--json", str(tmp_path / "figures.json")]) == 1
    out = capsys.readouterr().out
    assert "ZeroDivisionError" in out
    assert "writes.good" in out

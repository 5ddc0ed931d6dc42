"""The parts of a benchmark: named measurements, each taken in interleaved rounds of A and B.

A module ``bench_NAME.py`` next to this one has one function::

    def measurements(folder: Path) -> Iterator[Measurement]:
        with something_slow(folder) as it:
            yield Measurement(name="NAME.get", what="large against small", a=it.large, b=it.small, most=1.25)

``a`` and ``b`` take no arguments and return one figure each (seconds, bytes, operations per second). What the module
holds open around a ``yield`` is there while that measurement runs; ``folder`` is empty and its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Side = Callable[[], float]


class Figure(float):
    """The figure of a side, with the processor time that a server took for each request (in seconds) if known."""

    cpu: float | None

    def __new__(cls, value: float, cpu: float | None = None) -> Figure:  # noqa: PYI034 -- a plain number with a mark
        figure = super().__new__(cls, value)
        figure.cpu = cpu
        return figure


def cpu_of(ran: Sequence[float]) -> float | None:
    """The median processor time of a side's rounds, None if it was not measured."""
    known = [cpu for figure in ran if (cpu := getattr(figure, "cpu", None)) is not None]
    return median(known) if known else None


@dataclass(frozen=True, kw_only=True)
class Result:
    """The rounds of a measurement: each of ``rounds`` is a ratio or difference of A to B, or A alone."""

    name: str
    what: str
    unit: str
    rounds: tuple[float, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]
    least: float | None
    most: float | None
    goal: float | None
    cpu: tuple[float | None, float | None] = (None, None)  # seconds of the servers of A and B for each request

    @property
    def median(self) -> float:
        """The figure that counts."""
        return median(self.rounds)

    @property
    def holds(self) -> bool:
        """Whether the median is at or above its floor, or at or below its ceiling."""
        return (self.least is None or self.median >= self.least) and (self.most is None or self.median <= self.most)

    @property
    def verdict(self) -> str:
        """The row of the table."""
        if self.least is None and self.most is None:
            return ""
        if not self.holds:
            return "MISSED"
        if self.goal is None:
            return "holds"
        reached = self.median <= self.goal if self.most is not None else self.median >= self.goal
        return "goal reached" if reached else "holds"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One row of the table. Give ``least`` (a floor) or ``most`` (a ceiling), or neither: then it is only reported.

    ``compare``: A divided by B, or A less B; without ``b`` the figure is A itself. ``warm``: rounds thrown away first.
    """

    name: str
    what: str
    a: Side
    b: Side | None = None
    compare: Literal["ratio", "difference"] = "ratio"
    unit: str = ""
    least: float | None = None
    most: float | None = None
    goal: float | None = None
    rounds: int = 7
    warm: int = 1

    def take(self) -> Result:
        """Run the rounds, A and B in turn, each going first every other time: what drifts meets both alike."""
        ran_a: list[float] = []
        ran_b: list[float] = []
        for number in range(self.warm + self.rounds):
            order = [(self.a, ran_a), (self.b, ran_b)]
            for side, ran in order if number % 2 == 0 else reversed(order):
                if side is not None:
                    ran.append(side())
        a, b = ran_a[self.warm :], ran_b[self.warm :]
        pairs = zip(a, b, strict=True)
        compared = a if self.b is None else [x / y if self.compare == "ratio" else x - y for x, y in pairs]
        return Result(
            name=self.name,
            what=self.what,
            unit=self.unit,
            rounds=tuple(compared),
            a=tuple(a),
            b=tuple(b),
            least=self.least,
            most=self.most,
            goal=self.goal,
            cpu=(cpu_of(a), cpu_of(b)),
        )

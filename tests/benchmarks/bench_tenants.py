"""The cost of the operators' list of tenants: it must not grow with the number of closed tenants."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame import Measurement, Side
from contract.box import BRANDING, Box
from crm_core.control.client import call

MANY, FEW, CALLS = 10_000, 100, 20


def filled(folder: Path, tenants: int) -> Box:
    """An instance with closed tenants that were each pushed to once, serving."""
    box = Box(folder).create_tenants().start()
    box.applied("branding", BRANDING)
    box.stop()
    for number in range(1, tenants):
        shutil.copytree(folder / "tenants/northwind", folder / f"tenants/t{number:05}")
    return box.start()


def spent(box: Box, path: str) -> Side:
    """Milliseconds of the server's processor time for a request."""

    def side() -> float:
        before = box.spent()
        for _ in range(CALLS):
            assert box.client.get(path).status_code == 200
        return (box.spent() - before) / CALLS * 1000

    return side


def listed(box: Box) -> Side:
    """Milliseconds of the server's processor time for ``crm tenant list``, which opens no tenant."""

    def side() -> float:
        before = box.spent()
        assert len(call(box.folder / "tenants", "tenant.list", {})["tenants"]) == MANY
        return (box.spent() - before) * 1000

    return side


def measurements(folder: Path) -> Iterator[Measurement]:
    """A page of 50 with many and with few, and a filter that reads all."""
    many, few = filled(folder / "many", MANY), filled(folder / "few", FEW)
    yield Measurement(
        name="tenants.page", what=f"CPU of a page of 50 of {MANY:,} tenants against {FEW}",
        a=spent(many, "/-/tenants"), b=spent(few, "/-/tenants"), most=1.25,
    )  # fmt: skip
    yield Measurement(
        name="tenants.cpu", what=f"CPU of a page of 50 of {MANY:,} tenants", unit=" ms",
        a=spent(many, "/-/tenants"), most=50,
    )  # fmt: skip
    yield Measurement(
        name="tenants.ready", what=f"CPU of /readyz with {MANY:,} tenants against {FEW}",
        a=spent(many, "/readyz"), b=spent(few, "/readyz"), most=2,
    )  # fmt: skip
    yield Measurement(
        name="tenants.metrics", what=f"CPU of /metrics with {MANY:,} tenants against {FEW}",
        a=spent(many, "/metrics"), b=spent(few, "/metrics"), most=2,
    )  # fmt: skip
    yield Measurement(
        name="tenants.names", what=f"CPU of the server for crm tenant list of {MANY:,} tenants", unit=" ms",
        a=listed(many), most=50,
    )  # fmt: skip
    yield Measurement(
        name="tenants.filter", what=f"CPU of a filter that no other of {MANY:,} tenants matches", unit=" ms",
        a=spent(many, "/-/tenants?status=ok"), rounds=1, warm=0,
    )  # fmt: skip
    many.stop()
    few.stop()

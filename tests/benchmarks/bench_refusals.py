"""How long the receiver takes to refuse what was made to keep it busy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx

from benchmarks.frame import Measurement
from contract.box import Box, problem
from contract.test_strict_json import CASES

HOSTILE = [raw for name, raw in CASES.items() if name.startswith("hostile")]
FAULTS = 60_000


def refused(box: Box, raw: bytes, status: int, code: str) -> float:
    """Seconds from a signed push to its refusal, at the wire."""
    headers = box.sign("branding", raw)
    began = time.perf_counter()
    answer: httpx.Response = box.client.post(f"{box.base()}/sync/branding", content=raw, headers=headers)
    seconds = time.perf_counter() - began
    problem(answer, status, code)
    return seconds


def measurements(folder: Path) -> Iterator[Measurement]:
    """Bodies of just under the limit: JSON that is hard to read, and a payload of nothing but faults."""
    box, versions = Box(folder / "instance").create_tenants().start(), count(1)

    def slowest() -> float:
        return 1000 * max(min(refused(box, raw, 400, "malformed_json") for _ in range(3)) for raw in HOSTILE)

    def faults() -> float:
        raw = box.body("branding", {"footer": {"links": [{}] * FAULTS}}, version=next(versions))
        return refused(box, raw, 422, "invalid_payload")

    yield Measurement(
        name="refusals.hostile", what=f"the slowest of {len(HOSTILE)} hostile bodies, each the best of three",
        unit=" ms", a=slowest, most=50,
    )  # fmt: skip
    yield Measurement(name="refusals.faults", what=f"a payload of {FAULTS:,} faults", unit=" s", a=faults, most=1)
    box.stop()

"""A capacity model: the processes, the database and the disks that a load needs.

    python docs/examples/capacity.py --tenants 100000 --pushes 20 --writes 200 --reads 2000 --processes 8

The costs are measured ones (docs/scaling.md says how), rounded up; measure yours and change them. Everything else is
arithmetic.
"""

# ruff: noqa: INP001 -- a single file is no package

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, field, fields
from typing import Any, Final

DAY: Final = 86_400


def _of(default: float, text: str) -> Any:
    """A number of the load: its default and its help."""
    return field(default=default, metadata={"help": f"{text} (default: {default:,})"})


@dataclass(frozen=True)
class Load:
    """The load of an installation; numbers of one tenant are averages over all."""

    tenants: int = _of(1_000, "in all")
    pushes: float = _of(20.0, "of a tenant a day, refused and unverified ones too")
    writes: float = _of(200.0, "of records, of a tenant a day")
    reads: float = _of(2_000.0, "lists, details and pages, of a tenant a day")
    records: int = _of(2_000, "of a tenant")
    streams: float = _of(0.5, "open event streams of a tenant at the busiest moment")
    peak: float = _of(6.0, "the busiest second over the average one")
    log_days: int = _of(365, "for which the sync log is retained")
    change_days: int = _of(365, "for which the change log is retained")
    processes: int = _of(4, "of all hosts together")
    pool: int = _of(10, "database connections of a process")


@dataclass(frozen=True)
class Costs:
    """The cost of one of each: milliseconds of processor time of a process, bytes in the database with indexes."""

    push_ms: float = 1.3
    write_ms: float = 0.8
    read_ms: float = 1.0
    busy: float = 0.6  # the part of a core that a process may use, so that queues stay short
    log_bytes: int = 1_400
    change_bytes: int = 680
    record_bytes: int = 10_000
    claim_bytes: int = 480
    nonce_seconds: int = 600  # as long as a nonce is remembered: skew_seconds in both directions
    payload_claims: int = 100  # of a tenant: those of the pushes in its history
    process_mb: float = 100.0  # with its tenants in use
    stream_kb: float = 15.0  # with its connection


def capacity(load: Load, costs: Costs) -> dict[str, float]:
    """The needs of a load, by name; the unit is in the name."""
    per_second = load.tenants * load.peak / DAY
    core_ms = load.pushes * costs.push_ms + load.writes * costs.write_ms + load.reads * costs.read_ms
    log_entries, changes = load.tenants * load.pushes * load.log_days, load.tenants * load.writes * load.change_days
    nonces = load.tenants * load.pushes / DAY * costs.nonce_seconds
    claims = nonces + load.tenants * min(costs.payload_claims, load.pushes * load.log_days)
    stored = {
        "log": log_entries * costs.log_bytes,
        "changes": changes * costs.change_bytes,
        "records": load.tenants * load.records * costs.record_bytes,
        "claims": claims * costs.claim_bytes,
    }
    return {
        "attempts a second at the peak": load.pushes * per_second,
        "requests a second at the peak": (load.pushes + load.writes + load.reads) * per_second,
        "processes needed at the peak": max(1, math.ceil(core_ms / 1000 * per_second / costs.busy)),
        "database commits a second at the peak": (load.pushes + load.writes) * per_second,
        "log entries": log_entries,
        "log MB a day": load.tenants * load.pushes * costs.log_bytes / 1e6,
        "change log MB a day": load.tenants * load.writes * costs.change_bytes / 1e6,
        "claims": claims,
        **{f"GB of {name}": size / 1e9 for name, size in stored.items()},
        "GB in the database": sum(stored.values()) / 1e9,
        "database connections": load.processes * (load.pool + 1),
        "memory of all processes MB": load.processes * costs.process_mb
        + load.tenants * load.streams * costs.stream_kb / 1000,
    }


def main() -> None:
    """Read the load from options and print what it needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for each in fields(Load):
        option, kind = f"--{each.name.replace('_', '-')}", type(each.default)
        parser.add_argument(option, type=kind, default=each.default, metavar="NUMBER", help=each.metadata["help"])
    found = capacity(Load(**vars(parser.parse_args())), Costs())
    for name, number in found.items():
        sys.stdout.write(f"{name:38} {number:>16,.1f}\n")


if __name__ == "__main__":
    main()

"""The cost of a front: the same requests to an instance directly, through the manager, and through nginx."""

from __future__ import annotations

import shutil
import sys
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks import load
from benchmarks.frame import Measurement, Side
from benchmarks.serving import CONNECTIONS, Product, product, pushes, raw
from fronts.processes import PATH, manager, nginx

SECONDS = 1.0
PUSHES = 16  # of each tenant in a round
TENANTS = [f"tenant-{number}" for number in range(CONNECTIONS)]
READER = "reader"  # whom no push touches: a tag holds


def reads(port: int, path: str, headers: dict[str, str]) -> Side:
    """How many conditional reads a second come through a port."""
    job = load.Job(port, [[raw("GET", path, headers)]] * CONNECTIONS, SECONDS)
    return lambda: load.run(job).only(304).rate


def writes(served: Product, port: int, versions: count[int]) -> Side:
    """How many signed pushes a second come through a port."""
    return lambda: load.run(load.Job(port, pushes(served, TENANTS, versions, PUSHES))).only(200).rate


def measurements(folder: Path) -> Iterator[Measurement]:
    """Reads that cost the instance least, so that the front shows most, and durable pushes."""
    with product(folder, [*TENANTS, READER]) as served:
        upstreams = {"eu1": [f"http://127.0.0.1:{served.port}"]}
        headers = {"Authorization": f"Bearer {served.token(READER, 'customers:read')}"}
        path = f"{served.base(READER)}/bootstrap"
        asked = urllib.request.Request(f"http://127.0.0.1:{served.port}{path}", headers=headers)
        with urllib.request.urlopen(asked) as answer:
            headers["If-None-Match"] = answer.headers["ETag"]
        direct, versions = reads(served.port, path, headers), count(1)
        with manager(folder, upstreams) as front:
            yield Measurement(
                name="fronts.manager", what="bootstrap with a valid tag through the manager against directly",
                unit="x", least=0.4, a=reads(front.port, path, headers), b=direct,
            )  # fmt: skip
            yield Measurement(
                name="fronts.manager_push", what=f"signed pushes over {CONNECTIONS} tenants, likewise", unit="x",
                a=writes(served, front.port, versions), b=writes(served, served.port, versions), rounds=5,
            )  # fmt: skip
        if shutil.which("nginx", path=PATH) is None:
            sys.stdout.write("fronts.nginx is not measured: apt-get install -y nginx-light\n")
            return
        with nginx(folder, upstreams) as front:
            yield Measurement(
                name="fronts.nginx", what="bootstrap with a valid tag through nginx against directly", unit="x",
                least=0.7, a=reads(front.port, path, headers), b=direct,
            )  # fmt: skip

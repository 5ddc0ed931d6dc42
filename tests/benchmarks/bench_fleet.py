"""``crm apply`` with 200 tenants of three sections: all changed, nothing changed, and with troubles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import yaml

from benchmarks import load
from benchmarks.frame import Measurement
from benchmarks.serving import Product, environ, product, tenant_key

TENANTS = [f"tenant-{number:03}" for number in range(200)]
PARALLEL = 8
WRONG_KEY, REMOVED, FINDING, UNNAMED_SECRET = TENANTS[10], TENANTS[20], TENANTS[30], TENANTS[40]
MAIL = {"host": "smtp.example.com", "port": 587, "security": "starttls", "username": "crm", "from_email": "a@b.example"}


def sections(number: int) -> dict[str, object]:
    """Three sections that differ with each number."""
    return {
        "branding": {"title": f"Northwind {number}", "colors": {"primary": "#0b5fff", "sidebar": "#10243e"}},
        "features": {"plan": {"code": f"plan-{number}", "name": "Growth", "features": ["customers.*", "deals.*"]}},
        "workspace": {"locale": "de-DE", "timezone": "Europe/Berlin", "currency": ("EUR", "CHF")[number % 2]},
    }


def write(folder: Path, tenant: str, wanted: dict[str, object]) -> None:
    """The files of a tenant."""
    (folder / tenant).mkdir(parents=True, exist_ok=True)
    for name, data in wanted.items():
        (folder / tenant / f"{name}.yaml").write_text(yaml.safe_dump(data))


def apply(config: Path, folder: Path, code: int = 0) -> tuple[float, str]:
    """Seconds of ``crm apply``, its start included, and what it printed."""
    words = [sys.executable, "-m", "crm_core.cli", "apply", str(folder), "--parallel", str(PARALLEL), "--json"]
    compiled = {**environ(), "PYTHONPYCACHEPREFIX": str(folder.parent / "compiled"), "MAIL_PASSWORD": "correct-horse"}
    compiled.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    done = subprocess.run([*words, "--config", str(config)], env=compiled, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    assert done.returncode == code, done.stdout + done.stderr
    return seconds, done.stdout


def spent(served: Product) -> float:
    """Seconds of processor time that the server has taken, its threads counted."""
    threads = Path(f"/proc/{served.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


class Fleet:
    """The tenants of a server and the folder that describes them; each change is a new number."""

    def __init__(self, served: Product, folder: Path) -> None:
        self.served, self.folder, self._numbers = served, folder, count(1)

    def changed(self) -> float:
        """Seconds of the command after every section of every tenant has changed."""
        number = next(self._numbers)
        for tenant in TENANTS:
            write(self.folder, tenant, sections(number))
        return apply(self.served.config, self.folder)[0]

    def pushed(self) -> float:
        """Seconds of the server for such pushes, signed beforehand, one after the other."""
        number = next(self._numbers)
        requests = [self.served.push(tenant, "combined", sections(number), number * 1000) for tenant in TENANTS]
        return len(TENANTS) / load.run(load.Job(self.served.port, [requests])).only(200).rate

    def unchanged(self) -> float:
        """Milliseconds of the command for each tenant, with nothing to do."""
        return apply(self.served.config, self.folder)[0] / len(TENANTS) * 1000

    def cost(self, pushing: bool) -> float:
        """Processor time of the server for one of the two."""
        before = spent(self.served)
        self.pushed() if pushing else self.changed()
        return spent(self.served) - before

    def troubled(self) -> float:
        """Seconds of a run in which one key is wrong, one tenant removed, one section invalid, one secret unnamed."""
        write(self.folder, UNNAMED_SECRET, {"smtp": {**MAIL, "password": {"secret": "env:MAIL_PASSWORD"}}})
        apply(self.served.config, self.folder)
        number = next(self._numbers)
        for tenant in TENANTS:
            write(self.folder, tenant, sections(number))
        write(self.folder, FINDING, {"branding": {"colors": {"primary": "red"}}})
        write(self.folder, UNNAMED_SECRET, {"smtp": {**MAIL, "host": "smtp2.example.com"}})
        platform = self.folder.parent / "platform"
        shutil.copytree(self.served.config, platform)
        right, wrong = tenant_key(WRONG_KEY).hex(), tenant_key("another").hex()
        (platform / "keys.yaml").write_text((platform / "keys.yaml").read_text().replace(right, wrong))
        self.served.crm("tenant", "remove", REMOVED, "--yes", "--no-backup")
        seconds, printed = apply(platform, self.folder, code=1)
        results = {one["tenant"]: one for one in map(json.loads, printed.splitlines())}
        assert Counter(one["status"] for one in results.values()) == {"applied": 196, "refused": 4}
        codes = {name: one["problem"]["code"] for name, one in results.items() if one["problem"]}
        assert codes == {
            WRONG_KEY: "signature_invalid", REMOVED: "unknown_tenant", FINDING: "invalid_payload",
            UNNAMED_SECRET: "stored_secret",
        }, codes  # fmt: skip
        again = [json.loads(line) for line in apply(platform, self.folder, code=1)[1].splitlines()]
        assert Counter(one["status"] for one in again) == {"unchanged": 196, "refused": 4}
        return seconds


def measurements(folder: Path) -> Iterator[Measurement]:
    """The command against the bare pushes; then the command alone."""
    with product(folder, TENANTS) as served:
        fleet = Fleet(served, folder / "desired")
        yield Measurement(
            name="fleet.server", what="CPU of the server for crm apply to changed tenants against their bare pushes",
            unit="x", most=1.8, goal=1.5, rounds=3, a=lambda: fleet.cost(False), b=lambda: fleet.cost(True),
        )  # fmt: skip
        yield Measurement(
            name="fleet.changed", what=f"seconds of crm apply to {len(TENANTS)} changed tenants against the same",
            unit="x", rounds=3, a=fleet.changed, b=fleet.pushed,
        )  # fmt: skip
        fleet.changed()
        yield Measurement(
            name="fleet.unchanged", what="crm apply to tenants that are as desired, for each", unit=" ms", most=20,
            rounds=3, a=fleet.unchanged,
        )  # fmt: skip
        yield Measurement(
            name="fleet.troubled", what="crm apply with four troubled tenants, as printed and as left", unit=" s",
            rounds=1, warm=0, a=fleet.troubled,
        )  # fmt: skip

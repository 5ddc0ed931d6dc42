"""A key is rotated while its platform pushes ten times a second: no right push is lost, no wrong one gets in."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from contract.box import TENANT, Box, roster_key

PERIOD = 0.1  # seconds from one push to the next
SECONDS = float(os.environ.get("CRM_ROTATION_SECONDS", "1"))  # of each phase


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


class Load:
    """A steady stream of pushes: right ones, and wrong ones among them; counted by phase."""

    def __init__(self, box: Box) -> None:
        self.box, self.phase, self.sent = box, "", 0
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.keys: dict[int, bytes] = {2: bytes.fromhex(roster_key()["secret"].removeprefix("hex:"))}

    def push(self, version: int, *, right: bool, key: bytes | None = None) -> None:
        """One push, at its time, that should or should not be applied."""
        self.sent += 1
        self._wait()
        title = f"{self.phase} {self.sent}"
        answer = self.box.push("branding", {"title": title}, key=key or self.keys[version], key_version=version)
        outcome = "applied" if answer.status_code == 200 else str(answer.json()["code"])
        self.counts[self.phase][f"{'right' if right else 'wrong'}, key {version}: {outcome}"] += 1
        assert (outcome == "applied") is right, (self.phase, version, answer.text)

    def _wait(self) -> None:
        now = time.monotonic()
        self._next = max(getattr(self, "_next", now) + PERIOD, now - 1)
        time.sleep(max(0.0, self._next - now))

    def run(self, phase: str, until: Callable[[], bool], right: tuple[int, ...], wrong: tuple[int, ...] = ()) -> None:
        """Push with the right keys in turn, every fifth with a wrong one or a forged signature, until it is time.

        However slow the machine, a phase has five pushes, and so a wrong one.
        """
        self.phase, first = phase, self.sent
        while self.sent < first + 5 or not until():
            self.push(right[self.sent % len(right)], right=True)
            if self.sent % 5 == 0:
                self.push(right[-1], right=False, key=b"forged" * 8)
                for version in wrong:
                    self.push(version, right=False)


def after(seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed since now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def test_a_rotation_under_load_loses_no_push(box: Box) -> None:
    """Through generate, overlap and revoke every right push is applied and every wrong one refused by its code."""
    load = Load(box)

    def command(*words: str) -> subprocess.Popen[bytes]:
        crm = str(Path(sys.executable).parent / "crm")
        return subprocess.Popen(
            [crm, "keys", *words, "--config", str(box.config)], env=box.environ, stdout=subprocess.DEVNULL
        )

    def in_effect(version: int, state: str) -> Callable[[], bool]:
        def there() -> bool:
            keys = {key["key_version"]: key["state"] for key in box.health()["accepted_keys"]}
            return keys.get(version) == state

        return there

    load.run("before", after(SECONDS), right=(2,))
    with command("rotate", TENANT, "--overlap", "1h") as rotating:
        load.run("while it is rotated", in_effect(3, "active"), right=(2,))
    assert rotating.returncode == 0
    keys = yaml.safe_load((box.config / "keys.yaml").read_text())["tenants"][TENANT]["keys"]
    load.keys[3] = _bytes_of(keys[-1]["secret"])
    load.run("overlap", after(SECONDS), right=(2, 3))
    load.run("the platform has switched", after(SECONDS), right=(3,))
    with command("revoke", TENANT, "2") as revoking:
        load.run("while the old one is revoked", in_effect(2, "revoked"), right=(3,))
    assert revoking.returncode == 0
    load.run("revoked", after(SECONDS), right=(3,), wrong=(2,))
    for phase, counts in load.counts.items():
        print(f"{phase}: sent {counts.total()}; {dict(sorted(counts.items()))}")  # noqa: T201 -- figures to look at
    assert load.counts["revoked"]["wrong, key 2: key_inactive"] > 0
    assert all(
        counts["wrong, key 3: signature_invalid"] + counts["wrong, key 2: signature_invalid"]
        for counts in (load.counts["overlap"], load.counts["revoked"])
    )
    applied = sum(count for counts in load.counts.values() for name, count in counts.items() if "right" in name)
    assert box.health()["sections"]["branding"]["revision"] == applied


def _bytes_of(reference: str) -> bytes:
    return base64.b64decode(reference.removeprefix("base64:"))

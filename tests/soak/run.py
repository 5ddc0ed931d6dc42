"""A soak of the two-way sync of docs/examples: writers on both sides while server and program are killed.

``python tests/soak/run.py --records 20000 --writers 8 --rounds 20`` exits 1 unless both sides are equal after each
round, with every record once and nothing that was written lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from contract import box as boxes  # noqa: E402 -- found through the path above when run as a program
from contract.box import Box, until  # noqa: E402 -- likewise
from free_ports import free_port  # noqa: E402 -- likewise

PROGRAM = ROOT / "docs/examples/two_way_sync.py"
POINTS = ("batch", "answer", "fold", "client")
PLAN = {"plan": {"code": "p", "name": "P", "features": ["customers.*"]}}


class Soak:
    """One tenant, the program next to it, and writers on both sides."""

    def __init__(self, folder: Path, records: int, writers: int) -> None:
        self.records, self.writers = records, writers
        self.kill_at, self.erp = folder / "kill-at", folder / "erp.sqlite3"
        settings = {"listen": f"127.0.0.1:{free_port()}"}
        self.box = Box(folder / "box", settings=settings, environ={"KILL_AT": str(self.kill_at)})
        self.box.program = (sys.executable, str(ROOT / "tests/soak/server.py"))
        self.box.create_tenants().start()
        self.box.push("features", PLAN)
        scopes = [word for access in ("read", "write", "delete") for word in ("--scope", f"customers:{access}")]
        token = self.box.crm("token", "create", "--tenant", "northwind", *scopes).split()[0]
        self.api = f"http://127.0.0.1:{self.box.port}{self.box.base()}"
        self.headers = {"Authorization": f"Bearer {token}"}
        self.environ = {**os.environ, "API": self.api, "TOKEN": token}
        self.stopping = threading.Event()
        self.made: set[str] = set()  # external ids whose creation was answered
        self.edits: dict[str, str] = {}  # the last name that the other system gave a row
        self.problems: list[str] = []

    def fill(self) -> None:
        """Load the records that are there from the start."""
        with httpx.Client(headers=self.headers, timeout=60) as api:
            for first in range(0, self.records, 500):
                names = [f"c{number}" for number in range(first, min(first + 500, self.records))]
                items = [{"external_id": name, "name": f"Customer {name}"} for name in names]
                api.post(f"{self.api}/customers/batch", json={"items": items}).raise_for_status()
                self.made.update(names)
        self.sync_once()

    def sync_once(self) -> None:
        """Run the program until both sides are equal."""
        command = [sys.executable, str(PROGRAM), str(self.erp), "--once"]
        subprocess.run(command, env=self.environ, check=True, stdout=subprocess.DEVNULL, timeout=600)

    def write_remote(self, seed: int) -> None:
        """Create, change, archive and restore over the API until the round ends; what fails is sent again."""
        chance, count = random.Random(seed), 0
        with httpx.Client(headers=self.headers, timeout=30) as api:
            while not self.stopping.is_set():
                count += 1
                number = f"c{chance.randrange(self.records)}" if chance.random() < 0.8 else f"api-{seed}-{count}"
                url = f"{self.api}/customers/external/{number}"
                kind = chance.random()
                while not self.stopping.is_set():
                    try:
                        answer = api.put(url, json={"name": f"Remote {seed} {count}"})
                        if answer.is_success and kind < 0.05:
                            api.delete(f"{self.api}/customers/{answer.json()['id']}")
                        elif answer.status_code == 409:
                            api.post(f"{self.api}/customers/{answer.json()['id']}/restore")
                    except httpx.TransportError:
                        time.sleep(0.05)
                        continue
                    if answer.is_success:
                        self.made.add(number)
                    elif answer.status_code not in (409, 503):
                        self.problems.append(answer.text)
                    break

    def write_local(self, seed: int) -> None:
        """Edit and add rows of the other system until the round ends."""
        chance, count = random.Random(seed), 0
        with sqlite3.connect(self.erp, timeout=60) as db:
            while not self.stopping.is_set():
                count += 1
                name = f"Local {seed} {count}"
                if chance.random() < 0.7:
                    number = f"c{chance.randrange(self.records)}"
                    db.execute("UPDATE people SET name = ?, changed = changed + 1 WHERE number = ?", (name, number))
                else:
                    number = f"erp-{seed}-{count}"
                    db.execute("INSERT INTO people (number, name, changed) VALUES (?, ?, 1)", (number, name))
                    self.made.add(number)
                    self.edits[number] = name
                db.commit()
                time.sleep(0.005)

    def kill(self, point: str, program: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Kill the server or the program at a point, and start it again."""
        if point != "client":
            assert self.box.process is not None
            self.kill_at.write_text(point)
            until(lambda: self.box.process is None or self.box.process.poll() is not None, lambda: f"no {point}")
            self.box.stop()
            self.box.start()
            return program
        with sqlite3.connect(self.erp, timeout=60, isolation_level=None) as db:
            assert program.stdout is not None
            while b"received" not in program.stdout.readline():
                pass
            db.execute("BEGIN IMMEDIATE")  # the page has come, or the next one, and cannot be saved
            time.sleep(0.1)
            program.send_signal(signal.SIGKILL)
            program.communicate()
            db.execute("ROLLBACK")
        return self.program()

    def program(self) -> subprocess.Popen[bytes]:
        """Start the program."""
        return subprocess.Popen([sys.executable, str(PROGRAM), str(self.erp)], env=self.environ, stdout=subprocess.PIPE)

    def round(self, number: int, points: tuple[str, ...]) -> list[str]:
        """One round: write on both sides, kill at each point, then compare; the differences."""
        self.stopping.clear()
        writing: list[Callable[[int], None]] = [self.write_remote] * self.writers + [self.write_local]
        seeds = [number * 100 + at for at in range(len(writing))]
        threads = [threading.Thread(target=work, args=(seed,)) for work, seed in zip(writing, seeds, strict=True)]
        program = self.program()
        for thread in threads:
            thread.start()
        try:
            for point in points:
                time.sleep(0.3)
                program = self.kill(point, program)
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()
            program.kill()
            program.communicate()
        self.sync_once()
        return [*self.problems, *self.differences()]

    def differences(self) -> list[str]:
        """How the two sides differ, and what is lost or doubled."""
        remote: dict[str, Any] = {}
        found: list[str] = []
        with httpx.Client(headers={**self.headers, "Accept": "application/x-ndjson"}, timeout=120) as api:
            for archived in ("false", "true"):
                answer = api.get(f"{self.api}/customers", params={"archived": archived}).raise_for_status()
                for record in map(json.loads, answer.text.splitlines()):
                    if record["external_id"] in remote:
                        found.append(f"{record['external_id']} is there twice")
                    content = (record["id"], record["name"], record["revision"], archived == "true")
                    remote[record["external_id"]] = content
        with sqlite3.connect(self.erp) as db:
            rows = db.execute("SELECT number, id, name, revision, archived, changed FROM people").fetchall()
        local = {number: (id_, name, revision, bool(archived)) for number, id_, name, revision, archived, _ in rows}
        found += [f"{row[0]} was not sent" for row in rows if row[5]]
        found += [
            f"{key}: {remote.get(key)} there, {local.get(key)} here"
            for key in remote.keys() | local.keys()
            if remote.get(key) != local.get(key)
        ]
        found += [f"{number} is lost" for number in self.made - remote.keys()]
        found += [
            f"{key} is {remote[key][1]!r}, not {name!r}"
            for key, name in self.edits.items()
            if key in remote and remote[key][1] != name
        ]
        return found


def soak(folder: Path, *, records: int, writers: int, rounds: int, say: Callable[[str], None]) -> list[str]:
    """Run rounds; the differences after the first round that has any."""
    run = Soak(folder, records, writers)
    try:
        run.fill()
        for number in range(1, rounds + 1):
            points = POINTS if rounds > 2 else POINTS[number % 2 :: 2]
            found = run.round(number, points)
            say(f"round {number}: {len(run.made)} records, {len(found)} differences")
            if found:
                return found
    finally:
        run.box.stop()
    return []


def main() -> None:
    """Run the soak as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("records", 20_000), ("writers", 8), ("rounds", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    boxes.WAIT = 300.0  # a busy machine is slow, which is no difference between the two sides
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), records=given.records, writers=given.writers, rounds=given.rounds, say=print)
    sys.stdout.write("\n".join(found[:20]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

"""Kill a process that writes to PostgreSQL, or the database server itself, and check what was promised.

``python tests/crash/postgresql.py --rounds 100`` exits 1 if an answered commit is lost, or a part of a unit is there.
Every third round kills the server and all its processes with -9; it waits for its disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from crash.child import write  # noqa: E402 -- found through the path above when run as a program
from crash.run import partial_units, promises  # noqa: E402 -- likewise
from crm_core.plugin.storage import StorageContext  # noqa: E402 -- likewise
from crm_postgresql.storage import PostgreSQLBackend  # noqa: E402 -- likewise
from postgresql_server import ROLE, Server, server  # noqa: E402 -- likewise


def context(dsn: str, instance: str) -> StorageContext:
    """A store of the database."""
    return StorageContext(Path(tempfile.gettempdir()), {"dsn": dsn, "pool": 5}, instance=instance)


async def child(dsn: str, instance: str) -> None:
    """Write until killed, or until the database is."""
    store = PostgreSQLBackend()
    await store.open(context(dsn, instance))
    if not await store.has("north"):
        await store.create("north")
    start = (await store.view("north", None)).seq
    await asyncio.gather(*(write(store, start, worker) for worker in range(8)), return_exceptions=True)


def run_and_kill(running: Server, instance: str, chance: random.Random, *, whole: bool) -> list[tuple[int, str]]:
    """Run the child and kill it, or the server, at a random moment; its answered commits."""
    command = [sys.executable, __file__, "--child", running.migrated, instance]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # now it is writing
        time.sleep(chance.random() * 0.4)
        if whole:
            running.crash()
        process.kill()
        answered = promises([first, *process.stdout.read().split(b"\n")[:-1]])
    _await_end(running.admin)
    return answered


def _await_end(admin: str) -> None:
    """Wait until the server has ended the connections of the killed: their last commit would come between two looks."""
    with psycopg.connect(admin, autocommit=True) as db:
        while db.execute("SELECT 1 FROM pg_stat_activity WHERE usename = %s", (ROLE,)).fetchone():
            time.sleep(0.01)


async def losses(dsn: str, instance: str, promised: list[tuple[int, str]]) -> list[str]:
    """The differences from what was promised, as sentences."""
    store = PostgreSQLBackend()
    await store.open(context(dsn, instance))
    problems = list((await store.verify("north")).problems)
    view = await store.view("north", None)
    for seq, name in promised:
        read = await store.get("north", "notes", name)
        if read.document is None or seq > view.seq or await store.claim("north", "nonce", name) is None:
            problems.append(f"unit {seq} ({name}) was answered and is lost")
    problems += await partial_units(store, view)
    await store.close()
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--child", nargs=2, metavar=("DSN", "INSTANCE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        asyncio.run(child(*options.child))
        return 0
    report = dict.fromkeys(("rounds", "servers_killed", "answered", "lost"), 0)
    chance = random.Random(options.seed)
    with server(durable=True) as running:
        for number in range(options.rounds):
            instance, whole = f"crash{number // 10}", number % 3 == 2
            promised = run_and_kill(running, instance, chance, whole=whole)
            problems = asyncio.run(losses(running.migrated, instance, promised))
            report["rounds"] += 1
            report["servers_killed"] += whole
            report["answered"] += len(promised)
            report["lost"] += len(problems)
            for problem in problems:
                sys.stderr.write(f"round {number} (seed {options.seed}): {problem}\n")
    sys.stdout.write(json.dumps(report | {"seed": options.seed}) + "\n")
    return 1 if report["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())

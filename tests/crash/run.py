"""Kill a writing child again and again, and check what it was promised.

``python tests/crash/run.py --rounds 500`` exits 1 if an answered commit is lost or a tenant cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from child import write_until_killed

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.plugin.storage import EntryQuery, StorageBackend, StorageContext, View
from crm_tinydb.storage import TinyDBBackend

# Children are forked from a process that has imported all they need: a start of Python takes longer than they live.
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["crm_core.testing.storage", "crm_tinydb.storage"])


def run_and_kill(tenants_dir: Path, page: Path, seed: int) -> tuple[list[tuple[int, str]], bytes]:
    """Fork the child and kill it at a random moment; return its answered commits and where the kill struck."""
    page.write_bytes(b"-" * 16)
    reading, writing = FORKS.Pipe(duplex=False)
    child = FORKS.Process(target=write_until_killed, args=(writing, tenants_dir, page, seed))
    child.start()
    writing.close()
    with open(reading.fileno(), "rb", closefd=False) as said:
        first = said.readline()  # now it is writing
        time.sleep(random.Random(seed).random() * 0.25)
        child.kill()
        lines = [first, *said.read().split(b"\n")[:-1]]
    reading.close()
    child.join()
    return promises(lines), page.read_bytes()


def promises(lines: list[bytes]) -> list[tuple[int, str]]:
    """The commits, seq and name, that whole lines of a child report."""
    words = [line.split() for line in lines]
    return [(int(each[0]), each[1].decode()) for each in words if len(each) == 2]


async def losses(tenants_dir: Path, promised: list[tuple[int, str]]) -> list[str]:
    """The differences from what was promised, as sentences."""
    store = TinyDBBackend()
    await store.open(StorageContext(tenants_dir))
    try:
        state = await store.state("north")
        if state.mode != "ok":
            return [f"unreadable: the tenant is {state.mode}: {state.reason}"]
        problems = list((await store.verify("north")).problems)
        view = await store.view("north", None)
        for seq, name in promised:
            read = await store.get("north", "notes", name)
            if read.document is None or seq > view.seq or await store.claim("north", "nonce", name) is None:
                problems.append(f"unit {seq} ({name}) was answered and is lost")
        problems += await partial_units(store, view)
        for backup in sorted(tenants_dir.parent.glob("backup-*")):
            if ".new" not in backup.name:
                try:
                    await store.restore("copy", backup)
                    shutil.rmtree(tenants_dir / "copy")
                except SetupError as error:
                    problems.append(f"backup: {error}")
                await store.close()
                await store.open(StorageContext(tenants_dir))
            backup.unlink()
    except StorageUnavailable as error:
        return [f"unreadable: {error.detail}"]
    finally:
        await store.close()
    return problems


async def partial_units(store: StorageBackend, view: View) -> list[str]:
    """The units, answered or not, of which only a part is stored."""
    names = [document.id async for document in store.documents("north", "notes")]
    units = [name for name in names if not name.startswith("hot")]
    pushes = {name for name in units if name.startswith("push")}
    logged = {each.nonce for each in await store.entries("north", EntryQuery(verified=True, limit=1 << 30))}
    problems = [f"{name} has no claim" for name in units if await store.claim("north", "nonce", name) is None]
    if len(units) != view.seq:
        problems.append(f"{view.seq} units left {len(units)} documents")
    if pushes != logged:
        problems.append(f"{len(pushes)} pushes and their log entries differ")
    if not len(pushes) == view.revision == view.head.seq:
        problems.append(f"{len(pushes)} pushes, revision {view.revision}, {view.head.seq} entries")
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder unless given")
    options = parser.parse_args(arguments)
    counts = ("rounds", "answered", "lost", "unreadable", "unwritten", "in_fold", "in_backup", "dangerous")
    report = dict.fromkeys(counts, 0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        tenants_dir, page = Path(folder) / "tenants", Path(folder) / "page"
        for number in range(options.rounds):
            if number % 25 == 0:
                shutil.rmtree(tenants_dir, ignore_errors=True)
            promised, where = run_and_kill(tenants_dir, page, options.seed + number)
            problems = asyncio.run(losses(tenants_dir, promised))
            report["rounds"] += 1
            report["answered"] += len(promised)
            unreadable = sum(problem.startswith("unreadable") for problem in problems)
            report["lost"] += len(problems) - unreadable
            report["unreadable"] += unreadable
            report["unwritten"] += where[0:1] == b"w"
            report["in_fold"] += where[1:2] == b"f"
            report["in_backup"] += where[2:3] == b"b"
            report["dangerous"] += where[0:1] == b"w" or where[1:2] == b"f"
            for problem in problems:
                sys.stderr.write(f"round {number} (seed {options.seed + number}): {problem}\n")
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{number + 1}/{options.rounds}")
    sys.stdout.write(json.dumps(report | {"seed": options.seed}) + "\n")
    return 1 if report["lost"] or report["unreadable"] else 0


if __name__ == "__main__":
    sys.exit(main())

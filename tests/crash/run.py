"""Kill a writing child again and again, and look what became of what it was promised.

``python tests/crash/run.py --rounds 500``: exit 1 where an answered commit is lost or a tenant cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.plugin.storage import EntryQuery, StorageContext, View
from crm_tinydb.storage import TinyDBBackend

CHILD = Path(__file__).with_name("child.py")


def killed(home: Path, page: Path, seed: int) -> tuple[list[tuple[int, str]], bytes]:
    """Run the child, kill it at a random moment; what it was promised and where the kill struck."""
    page.write_bytes(b"-" * 16)
    with subprocess.Popen(
        [sys.executable, str(CHILD), str(home), str(page), str(seed)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        first = child.stdout.readline()  # it is at work now
        time.sleep(random.Random(seed).random() * 0.25)
        child.kill()
        lines = [first, *child.stdout.read().split(b"\n")[:-1]]
    promised = []
    for line in lines:
        words = line.split()
        if len(words) == 2:
            promised.append((int(words[0]), words[1].decode()))
    return promised, page.read_bytes()


async def lost(home: Path, promised: list[tuple[int, str]]) -> list[str]:
    """What is not as it was promised, in sentences."""
    store = TinyDBBackend()
    await store.open(StorageContext(home))
    try:
        state = await store.state("north")
        if state.mode != "ok":
            return [f"unreadable: the tenant is {state.mode}: {state.reason}"]
        problems = list((await store.verify("north")).problems)
        view = await store.view("north", None)
        for seq, name in promised:
            read = await store.get("north", "notes", name)
            if read.document is None or seq > view.seq or await store.claim("north", "nonce", name) is None:
                problems.append(f"unit {seq} ({name}) was answered and is gone")
        problems += await torn(store, view)
        for backup in sorted(home.parent.glob("backup-*")):
            if not backup.name.endswith(".new"):
                try:
                    await store.restore("copy", backup)
                    shutil.rmtree(home / "copy")
                except SetupError as error:
                    problems.append(f"backup: {error}")
                await store.close()
                await store.open(StorageContext(home))
            backup.unlink()
    except StorageUnavailable as error:
        return [f"unreadable: {error.detail}"]
    finally:
        await store.close()
    return problems


async def torn(store: TinyDBBackend, view: View) -> list[str]:
    """Whether any unit, answered or not, is there in parts."""
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
    told = {
        "rounds": 0,
        "answered": 0,
        "lost": 0,
        "unreadable": 0,
        "unwritten": 0,
        "in_fold": 0,
        "in_backup": 0,
        "dangerous": 0,
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home, page = Path(folder) / "tenants", Path(folder) / "page"
        for number in range(options.rounds):
            if number % 25 == 0:
                shutil.rmtree(home, ignore_errors=True)
            promised, where = killed(home, page, options.seed + number)
            problems = asyncio.run(lost(home, promised))
            told["rounds"] += 1
            told["answered"] += len(promised)
            unreadable = sum(problem.startswith("unreadable") for problem in problems)
            told["lost"] += len(problems) - unreadable
            told["unreadable"] += unreadable
            told["unwritten"] += where[0:1] == b"w"
            told["in_fold"] += where[1:2] == b"f"
            told["in_backup"] += where[2:3] == b"b"
            told["dangerous"] += where[0:1] == b"w" or where[1:2] == b"f"
            for problem in problems:
                sys.stderr.write(f"round {number} (seed {options.seed + number}): {problem}\n")
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{number + 1}/{options.rounds}")
    sys.stdout.write(json.dumps(told | {"seed": options.seed}) + "\n")
    return 1 if told["lost"] or told["unreadable"] else 0


if __name__ == "__main__":
    sys.exit(main())

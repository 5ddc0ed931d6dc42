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
from crm_core.plugin.storage import StorageContext
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
            return [f"the tenant is {state.mode}: {state.reason}"]
        problems = list((await store.verify("north")).problems)
        view = await store.view("north", None)
        for seq, name in promised:
            read = await store.get("north", "notes", name)
            if read.document is None or seq > view.seq or await store.claim("north", "nonce", name) is None:
                problems.append(f"unit {seq} ({name}) was answered and is gone")
        count = await store.count("north", "notes")
        hot = len([1 for worker in range(8) if (await store.get("north", "notes", f"hot{worker}")).document])
        if count != view.seq + hot or view.revision != view.seq or view.head.seq != view.seq:
            problems.append(f"half a unit: {count} documents, {view.seq} units, {view.head.seq} entries")
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
        return [f"the tenant cannot be read: {error.detail}"]
    finally:
        await store.close()
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder unless given")
    options = parser.parse_args(arguments)
    told = {"rounds": 0, "answered": 0, "lost": 0, "unwritten": 0, "in_fold": 0, "in_backup": 0, "dangerous": 0}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home, page = Path(folder) / "tenants", Path(folder) / "page"
        for number in range(options.rounds):
            if number % 25 == 0:
                shutil.rmtree(home, ignore_errors=True)
            promised, where = killed(home, page, options.seed + number)
            problems = asyncio.run(lost(home, promised))
            told["rounds"] += 1
            told["answered"] += len(promised)
            told["lost"] += len(problems)
            told["unwritten"] += where[0:1] == b"w"
            told["in_fold"] += where[1:2] == b"f"
            told["in_backup"] += where[2:3] == b"b"
            told["dangerous"] += b"w" in where[0:1] or b"f" in where[1:2]
            for problem in problems:
                sys.stderr.write(f"round {number} (seed {options.seed + number}): {problem}\n")
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{number + 1}/{options.rounds}")
    sys.stdout.write(json.dumps(told | {"seed": options.seed}) + "\n")
    return 1 if told["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())

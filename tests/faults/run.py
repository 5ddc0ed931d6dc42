"""Let each system call of a commit, fold, backup, restore and create fail, or kill the process there, with strace.

``PYTHONPATH=tests python -m faults.run [ACTION ...]`` prints a row for each action and system call, then the faults,
and exits 1 if there is one. A forked process acts on a fresh copy of the same folder each time; strace is attached to
it after it has opened the store, so only the action's own calls are counted.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from crm_core.plugin.storage import StorageContext
from crm_tinydb.storage import TinyDBBackend
from faults.actions import ACTIONS, PREPARED, attempt, faults, leftovers, prepare, resume

ERRORS = {
    "openat": ("EIO", "ENOSPC", "EMFILE"),
    "write": ("EIO", "ENOSPC", "EDQUOT"),
    "fdatasync": ("EIO", "ENOSPC"),
    "fsync": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO",),
    "rename": ("EIO", "ENOSPC"),
    "renameat": ("EIO", "ENOSPC"),
    "link": ("EIO", "ENOSPC"),
    "linkat": ("EIO", "ENOSPC"),
    "unlink": ("EIO",),
    "mkdir": ("EIO", "ENOSPC"),
    "rmdir": ("EIO",),
    "close": ("EIO",),
    "read": ("EIO",),
    "lseek": ("EIO",),
    "getdents64": ("EIO",),
    "fstat": ("EIO",),
    "newfstatat": ("EIO",),
}
KILL = "KILL"
READY, GO, BARE = b"r", b"g", b"b"  # the first byte of the page; with BARE the process ends after the action
SECONDS = 40.0  # that a process may take


class Home:
    """The folders that an action works in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tenants, self.scratch = folder, folder / "tenants", folder / "scratch"

    @property
    def context(self) -> StorageContext:
        return StorageContext(self.tenants, log_max_unverified=50)

    def leftovers(self) -> list[str]:
        folders = {each.name: names(each) for each in self.tenants.iterdir()}
        return leftovers(folders, names(self.scratch))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def await_byte(page: mmap.mmap, *wanted: bytes) -> None:
    """Wait until the shared page begins with one of these bytes."""
    while page[:1] not in wanted:
        time.sleep(0.002)


async def acting(home: Home, name: str, page: mmap.mmap) -> None:
    """The process that fails: it opens the store, waits for strace, acts, and commits again."""
    store = TinyDBBackend()
    await store.open(home.context)
    for tenant in ("north", "south"):
        await store.view(tenant, None)
    page[:1] = READY
    await_byte(page, GO, BARE)
    bare = page[:1] == BARE
    outcome = await attempt(store, name, home.scratch)
    note(page, outcome)
    if bare:
        os._exit(0)
    seq = await resume(store, PREPARED + (name == "commit" and outcome == "done"))
    note(page, f"{outcome} {seq}")
    await store.close()
    os._exit(0)  # what the interpreter would still close is not the store's


def note(page: mmap.mmap, text: str) -> None:
    """Put a text into the shared page, which costs no system call."""
    line = text.encode()[: len(page) - 2]
    page[1 : len(line) + 2] = line + b"\n"


def noted(page: mmap.mmap) -> list[str]:
    return page[1:].partition(b"\n")[0].decode(errors="replace").split(" ")


def forked(home: Home, name: str, page: mmap.mmap) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(acting(home, name, page))
        except BaseException:  # noqa: BLE001 -- the parent reports it
            note(page, f"raised {traceback.format_exc()[-800:]!r}")
        finally:
            os._exit(1)
    return pid


def traced(pid: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Attach strace to every thread of a process."""
    strace = subprocess.Popen(["strace", "-f", "-qq", "-p", str(pid), *arguments], stderr=subprocess.DEVNULL)
    while any("TracerPid:\t0\n" in path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")):
        assert strace.poll() is None, "strace cannot be attached here"
        time.sleep(0.002)
    return strace


def run(home: Home, name: str, arguments: list[str], start: bytes = GO) -> tuple[int | None, list[str]]:
    """Run an action under strace; the exit status (None: it hung) and what it noted."""
    page = mmap.mmap(-1, 4096)
    pid = forked(home, name, page)
    await_byte(page, READY)
    strace = traced(pid, arguments)
    page[:1] = start
    status, end = None, time.monotonic() + SECONDS
    while status is None and time.monotonic() < end:
        found, wait_status = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(wait_status) if found else None
        time.sleep(0.002)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    strace.wait()
    return status, noted(page)


def calls_of(home: Home, name: str) -> dict[str, int]:
    """The system calls of an action, and how often the thread that makes most of a kind makes it."""
    log = home.folder / "trace"
    run(home, name, ["-o", str(log), "-e", f"trace={','.join(ERRORS)}"], BARE)
    counts = Counter(re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.MULTILINE))
    most: dict[str, int] = {}
    for (_, call), count in counts.items():
        most[call] = max(count, most.get(call, 0))
    return most


async def after(home: Home, name: str, status: int | None, words: list[str]) -> list[str]:
    """The faults that a restart shows."""
    if status not in (0, -signal.SIGKILL):
        return [f"the process hung: {' '.join(words)}" if status is None else " ".join(words)]
    outcome = words[0]
    answered = int(words[1]) if len(words) > 1 else PREPARED + (name == "commit" and outcome == "done")
    store = TinyDBBackend()
    await store.open(home.context)
    try:
        seqs = (answered,) if status == 0 else (answered, answered + 1)
        return await faults(store, name, outcome, seqs=seqs, scratch=home.scratch) + home.leftovers()
    except Exception as error:  # noqa: BLE001 -- what a check raises is a fault too
        return [f"{type(error).__name__}: {error}"]
    finally:
        await store.close()


def tried(folder: Path, name: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each system call, what happened at one of them, and the faults."""
    start = Home(folder / "start")

    def fresh() -> Home:
        home = Home(folder / "home")
        shutil.rmtree(home.folder, ignore_errors=True)
        shutil.copytree(start.folder, home.folder)
        return home

    for call, count in sorted(calls_of(fresh(), name).items()):
        for what in (*ERRORS[call], KILL):
            effect = "signal=KILL" if what == KILL else f"error={what}"
            for number in range(1, count + 1):
                home = fresh()
                inject = ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{effect}:when={number}"]
                found = asyncio.run(after(home, name, *run(home, name, inject)))
                yield call, what, [f"{name}, {what} at {call} {number}: {each}" for each in found]


async def start_of(home: Home) -> None:
    """Write what every action starts from."""
    home.scratch.mkdir(parents=True)
    store = TinyDBBackend()
    await store.open(home.context)
    await prepare(store, home.scratch)
    await store.close()


def main(chosen: list[str]) -> int:
    """Run them all and print the table."""
    if not shutil.which("strace"):
        sys.stdout.write("faults: strace is not installed; tests/plugins/test_tinydb_faults.py uses a disk in memory\n")
        return 0
    rows: dict[tuple[str, str], Counter[str]] = {}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(start_of(Home(Path(folder) / "start")))
        for name in chosen or ACTIONS:
            for call, what, problems in tried(Path(folder), name):
                row = rows.setdefault((name, call), Counter())
                row["kills" if what == KILL else "errors"] += 1
                row["faults"] += bool(problems)
                found += problems
    columns = ("errors", "kills", "faults")
    lines = [("action", "system call", *columns)]
    lines += [(*key, *(str(row[column]) for column in columns)) for key, row in rows.items()]
    lines.append(("all", "", *(str(sum(row[column] for row in rows.values())) for column in columns)))
    table = [f"{line[0]:10}{line[1]:14}" + "".join(f"{cell:>8}" for cell in line[2:]) for line in lines]
    sys.stdout.write("\n".join([*table, *found]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

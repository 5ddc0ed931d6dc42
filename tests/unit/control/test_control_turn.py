from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_core.control.lock import FolderBusy
from crm_core.control.server import ControlServer
from crm_core.control.turn import patient_lock

LOCKING = """
import sys
from pathlib import Path
from crm_core.control.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has locked the folder, until it gets a line."""
    command = [sys.executable, "-c", LOCKING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process


def test_it_waits_until_another_command_has_ended(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    """A wait ends with the other process; a shorter one ends with its pid."""
    with pytest.raises(FolderBusy) as busy, patient_lock(tmp_path, 0.2):
        pass
    assert busy.value.pid == other.pid
    assert other.stdin is not None
    other.stdin.write("\n")
    other.stdin.flush()
    with patient_lock(tmp_path, 60):
        assert other.wait(10) == 0


async def test_it_does_not_wait_for_a_server(tmp_path: Path) -> None:
    """A folder that is served is refused immediately: its server does what is asked."""

    async def run(name: str, arguments: dict[str, object]) -> dict[str, object]:
        return {"name": name, **arguments}

    def lock() -> None:
        with patient_lock(tmp_path, 3600):
            pass

    with patient_lock(tmp_path):
        server = ControlServer(tmp_path, run)
        await server.start()
        try:
            with pytest.raises(FolderBusy):
                await asyncio.to_thread(lock)
        finally:
            await server.close()

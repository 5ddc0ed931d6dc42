from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from crm_core.control.lock import FolderBusy, FolderLock
from crm_core.errors import SetupError

HOLD = """
import sys, time
from pathlib import Path
from crm_core.control.lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("locked", flush=True)
time.sleep(60)
"""


def test_folder_and_file_are_private(tmp_path: Path) -> None:
    """A missing folder is made for its owner alone, and so is the lock's file, which names the holder."""
    folder = tmp_path / "a" / "tenants"
    with FolderLock(folder) as lock:
        assert lock.locked
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / ".lock").stat().st_mode) == 0o600
        assert (folder / ".lock").read_text() == f"{os.getpid()}\n"
    assert not lock.locked


def test_a_full_disk_does_not_prevent_the_lock(tmp_path: Path) -> None:
    """A process that cannot write its pid has the lock all the same, and releases it."""
    with FolderLock(tmp_path):
        pass
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        lock = FolderLock(tmp_path).acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(FolderBusy) as busy:
        FolderLock(tmp_path).acquire()
    assert busy.value.pid is None
    lock.release()
    FolderLock(tmp_path).acquire().release()


def test_an_open_folder_is_closed_to_others(tmp_path: Path) -> None:
    """A folder that others could read is tightened when it is taken."""
    tmp_path.chmod(0o755)
    with FolderLock(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_second_lock_in_one_process_is_refused(tmp_path: Path) -> None:
    """Two locks of one folder exclude each other in one process too, and the first can be taken again."""
    first = FolderLock(tmp_path).acquire()
    assert first.acquire() is first
    with pytest.raises(FolderBusy) as caught:
        FolderLock(tmp_path).acquire()
    assert caught.value.pid == os.getpid()
    first.release()
    first.release()
    FolderLock(tmp_path).acquire().release()


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path) -> None:
    """The refusal names the holder's pid; a holder killed hard leaves nothing that blocks."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(FolderBusy) as caught:
            FolderLock(tmp_path).acquire()
        assert caught.value.pid == holder.pid
        assert str(holder.pid) in str(caught.value)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    FolderLock(tmp_path).acquire().release()


def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be is a SetupError that names it."""
    place = tmp_path / "tenants"
    place.write_text("")
    with pytest.raises(SetupError, match="tenants"):
        FolderLock(place).acquire()

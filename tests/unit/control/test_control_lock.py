from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from crm_core.control.lock import FolderBusy, folder_lock
from crm_core.errors import SetupError

HOLD = """
import sys, time
from pathlib import Path
from crm_core.control.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def lock_and_release(folder: Path) -> None:
    with folder_lock(folder):
        pass


def test_folder_and_file_are_private(tmp_path: Path) -> None:
    """A missing folder is made for its owner alone, and so is the lock's file, which names the holder."""
    folder = tmp_path / "a" / "tenants"
    with folder_lock(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / ".lock").stat().st_mode) == 0o600
        assert (folder / ".lock").read_text() == f"{os.getpid()}\n"
    assert (folder / ".lock").read_text() == ""


def test_a_full_disk_does_not_prevent_the_lock(tmp_path: Path) -> None:
    """A process that cannot write its pid has the lock all the same, and releases it."""
    lock_and_release(tmp_path)
    with ExitStack() as stack:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            stack.enter_context(folder_lock(tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(FolderBusy) as busy:
            lock_and_release(tmp_path)
        assert busy.value.pid is None
    lock_and_release(tmp_path)


def test_an_open_folder_is_closed_to_others(tmp_path: Path) -> None:
    """A folder that others could read is tightened when it is taken."""
    tmp_path.chmod(0o755)
    with folder_lock(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_second_lock_in_one_process_is_refused(tmp_path: Path) -> None:
    """Two locks of one folder exclude each other in one process too, until the first is released, also by an error."""
    with pytest.raises(FolderBusy) as caught, folder_lock(tmp_path):
        lock_and_release(tmp_path)
    assert caught.value.pid == os.getpid()
    lock_and_release(tmp_path)


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path) -> None:
    """The refusal names the holder's pid; a holder killed hard leaves nothing that blocks."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(FolderBusy) as caught:
            lock_and_release(tmp_path)
        assert caught.value.pid == holder.pid
        assert str(holder.pid) in str(caught.value)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    lock_and_release(tmp_path)


def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be is a SetupError that names it."""
    place = tmp_path / "tenants"
    place.write_text("")
    with pytest.raises(SetupError, match="tenants"):
        lock_and_release(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open what belongs to another user")
def test_root_does_not_write_into_the_folder_of_another_user(tmp_path: Path) -> None:
    """The server runs as that user, and could not read the files any more; the refusal names whom to run as."""
    lock_and_release(tmp_path)
    os.chown(tmp_path / ".lock", 1, 1)
    with pytest.raises(SetupError, match=r"belongs to the user daemon, .*: run this as daemon"):
        lock_and_release(tmp_path)
    os.chown(tmp_path / ".lock", 4_000_000, 65534)
    with pytest.raises(SetupError, match=r"run this as 4000000"):
        lock_and_release(tmp_path)

"""The lock on a tenants folder: one process at a time writes there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import getpwuid
from typing import Final

from crm_core.errors import SetupError

_NAME: Final = ".lock"


class FolderBusy(SetupError):
    """Another process has locked the folder; ``pid`` is None if it could not write its own."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        self.folder = folder
        self.pid = pid
        owner = f"the process with pid {pid}" if pid is not None else "another process"
        super().__init__([f"{folder} is in use by {owner}: stop it first; another instance needs another tenants_dir"])


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a tenants folder without waiting, by a ``flock`` on its ``.lock``; a missing folder is created (0700).

    The lock ends with its process, even a killed one. Its file stays, or two processes could lock two files of that
    name. Raises FolderBusy, which names the process that has the lock, and SetupError if the folder cannot be used, or
    was used by another user, who could not read what root writes.
    """
    file = _opened(folder)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusy(folder, _pid_in(file)) from None
        except OSError as error:
            raise SetupError([f"{folder} cannot be locked: {error.strerror}"]) from error
        _keep_root_out(folder, os.fstat(file).st_uid)
        with suppress(OSError):  # the pid is for people only; a full disk has no room for it
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(file, 0)
    finally:
        os.close(file)


def _keep_root_out(folder: Path, owner: int) -> None:
    """Raise SetupError if this process runs as root and the lock's file is another user's.

    Only root can open such a file, or anyone on a file system that has no owners, where it does no harm.
    """
    if os.geteuid() == 0 != owner:
        try:
            name = getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        raise SetupError([f"{folder} belongs to the user {name}, who could not read your files: run this as {name}"])


def _opened(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
        if mode & 0o077:  # only the owner may read the contents
            folder.chmod(mode & 0o700)
        file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.fchmod(file, 0o600)
    except OSError as error:
        advice = "; run this as the user that it belongs to" if isinstance(error, PermissionError) else ""
        raise SetupError([f"{folder} cannot be used as tenants folder: {error.strerror}{advice}"]) from error
    return file


def _pid_in(file: int) -> int | None:
    text = os.pread(file, 32, 0).strip()
    return int(text) if text.isdigit() else None

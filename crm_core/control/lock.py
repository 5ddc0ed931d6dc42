"""The lock on a tenants folder: one process at a time writes there."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from crm_core.errors import SetupError

_NAME: Final = ".lock"


class FolderBusy(SetupError):
    """Another process has locked the folder; ``pid`` is None if it could not write its own."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        self.folder = folder
        self.pid = pid
        owner = f"the process with pid {pid}" if pid is not None else "another process"
        super().__init__([f"{folder} is in use by {owner}: stop it first, or set another tenants_dir"])


class FolderLock:
    """A ``flock`` on the ``.lock`` of a tenants folder; it ends with its process, even a killed one.

    Releasing the lock does not remove the file, or two processes could lock two files of that name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None

    @property
    def locked(self) -> bool:
        """Whether this object has the lock now."""
        return self._file is not None

    def acquire(self) -> Self:
        """Create the folder (0700) if it is missing, and lock it without waiting.

        Raises FolderBusy, which names the process that has the lock, and SetupError if the folder cannot be used.
        """
        if self._file is not None:
            return self
        file = self._opened()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid_in(file)
            os.close(file)
            raise FolderBusy(self._folder, pid) from None
        except OSError as error:
            os.close(file)
            raise SetupError([f"{self._folder} cannot be locked: {error.strerror}"]) from error
        self._file = file
        with suppress(OSError):  # the pid is for people only; a full disk has no room for it
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return self

    def release(self) -> None:
        """Release the folder; without effect if it is not locked."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self._folder.stat().st_mode
            if mode & 0o077:  # only the owner may read the contents
                self._folder.chmod(mode & 0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            file = os.open(self._folder / _NAME, flags, 0o600)
            os.fchmod(file, 0o600)
        except OSError as error:
            raise SetupError([f"{self._folder} cannot be used as tenants folder: {error.strerror}"]) from error
        return file

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _pid_in(file: int) -> int | None:
    text = os.pread(file, 32, 0).strip()
    return int(text) if text.isdigit() else None

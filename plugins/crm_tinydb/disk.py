"""The file system as the store uses it: one small object with every call that can fail or be torn."""

# ruff: noqa: D102 -- Disk documents each call

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


class Disk(Protocol):
    """The calls a store makes. ``OSError`` is the only failure; ``write`` may write less than it was given.

    Writing to a removed file fails.
    """

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, durable: bool = False) -> int:
        """Open for appending; ``create`` makes a new, empty file (mode 0600), replacing an existing one.

        ``exclusive``, with ``create``: raise FileExistsError if there is one.
        ``durable``: each write returns when its bytes are durable, as if a sync followed. One system call instead of
        two spares the thread a wait for the interpreter in between.
        """

    def open_unnamed(self, folder: Path) -> int | None:
        """Open a new file without a name, which is gone once it is closed; None if the file system has none."""

    def name(self, handle: int, path: Path) -> None:
        """Give an unnamed file its name. Raises FileExistsError if it is taken."""

    def write(self, handle: int, data: bytes) -> int:
        """Append; return the number of bytes written."""

    def sync(self, handle: int) -> None:
        """Make the written bytes durable (fdatasync)."""

    def truncate(self, handle: int, length: int) -> None:
        """Truncate an open file."""

    def close(self, handle: int) -> None:
        """Close an open file."""

    def read(self, path: Path) -> bytes:
        """All of a file."""

    def read_part(self, path: Path, start: int, count: int) -> bytes:
        """Up to ``count`` bytes of a file from ``start`` on."""

    def size(self, path: Path) -> int:
        """Length of a file in bytes."""

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, sorted."""

    def exists(self, path: Path) -> bool:
        """Whether there is a file or folder. Raises OSError if the disk cannot say."""

    def mode(self, path: Path) -> int:
        """Permission bits."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename, replacing an existing file."""

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name. Raises FileExistsError if it is taken."""

    def remove(self, path: Path) -> None:
        """Remove a file."""

    def make_folder(self, path: Path) -> None:
        """Make a folder (mode 0700) unless it exists."""

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""

    def sync_folder(self, path: Path) -> None:
        """Make a folder's entries durable."""


class RealDisk:
    """The operating system's files."""

    def __init__(self) -> None:
        self._unnamed: set[int] = set()

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, durable: bool = False) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC) if create else 0
        flags |= os.O_DSYNC if durable else 0
        return os.open(path, flags, 0o600)

    def open_unnamed(self, folder: Path) -> int | None:
        try:
            handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in {*_NO_LINKS, errno.EISDIR}:
                return None
            raise
        self._unnamed.add(handle)
        return handle

    def name(self, handle: int, path: Path) -> None:
        # With a folder's descriptor os.link follows the link in /proc, as open(2) advises for such files.
        os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle)
        self._unnamed.discard(handle)

    def write(self, handle: int, data: bytes) -> int:
        written = os.write(handle, data)
        if handle not in self._unnamed and not os.fstat(handle).st_nlink:
            # The kernel accepts bytes for a removed file, and no restart would find them.
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return written

    def sync(self, handle: int) -> None:
        os.fdatasync(handle)

    def truncate(self, handle: int, length: int) -> None:
        os.ftruncate(handle, length)

    def close(self, handle: int) -> None:
        self._unnamed.discard(handle)
        os.close(handle)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def read_part(self, path: Path, start: int, count: int) -> bytes:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(count)

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    def exists(self, path: Path) -> bool:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def mode(self, path: Path) -> int:
        return path.stat().st_mode & 0o7777

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # This file system has no hard links: reserve the name, then replace the empty file.
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            source.replace(target)

    def remove(self, path: Path) -> None:
        path.unlink()

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove_folder(self, path: Path) -> None:
        path.rmdir()

    def sync_folder(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_all(disk: Disk, handle: int, data: bytes) -> None:
    """Append all of ``data``, even if the disk accepts only a part at a time."""
    while (written := disk.write(handle, data)) < len(data):
        if written <= 0:
            raise OSError(errno.EIO, "the disk accepted no bytes")
        data = data[written:]


def write_file(disk: Disk, path: Path, data: bytes) -> None:
    """Replace a whole file so that a reader, or a power cut, sees the old one or the new one. Raises OSError."""
    write_chunks(disk, path, (data,))


def write_chunks(disk: Disk, path: Path, chunks: Iterable[bytes]) -> int:
    """``write_file`` for data in chunks; return its length in bytes. Raises what the iterable raises too."""
    fresh = path.with_name(path.name + ".new")
    handle = disk.open(fresh, create=True)
    try:
        length = _write_and_close(disk, handle, chunks)
        disk.replace(fresh, path)
    except BaseException:
        drop(disk, fresh)
        raise
    disk.sync_folder(path.parent)
    return length


def write_new(disk: Disk, path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file that does not exist yet, which appears complete; several writers never share a file.

    Raises FileExistsError if it exists, even since the writing began, and OSError.
    """
    unnamed = disk.open_unnamed(path.parent)
    if unnamed is None:
        _write_hidden(disk, path, chunks)
    else:  # if this is killed, nothing is left
        try:
            _write(disk, unnamed, chunks)
            disk.name(unnamed, path)
        finally:
            disk.close(unnamed)
    disk.sync_folder(path.parent)


def _write_hidden(disk: Disk, path: Path, chunks: Iterable[bytes]) -> None:
    number = 1
    while True:
        try:
            fresh = path.with_name(f"{path.name}.new-{number}")
            handle = disk.open(fresh, create=True, exclusive=True)
            break
        except FileExistsError:  # of another writer, or left by a crash
            number += 1
    try:
        _write_and_close(disk, handle, chunks)
        disk.link(fresh, path)
    finally:
        drop(disk, fresh)


def _write_and_close(disk: Disk, handle: int, chunks: Iterable[bytes]) -> int:
    try:
        return _write(disk, handle, chunks)
    finally:
        disk.close(handle)


def _write(disk: Disk, handle: int, chunks: Iterable[bytes]) -> int:
    length = 0
    for chunk in chunks:
        write_all(disk, handle, chunk)
        length += len(chunk)
    disk.sync(handle)
    return length


def gone(disk: Disk, path: Path) -> bool:
    """Whether a file or folder is certainly not there; a disk that cannot say is no proof."""
    try:
        return not disk.exists(path)
    except OSError:
        return False


def drop(disk: Disk, path: Path) -> bool:
    """Remove a file that is no longer needed, if possible; whether it is gone."""
    try:
        disk.remove(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return True


def is_folder(disk: Disk, path: Path) -> bool:
    """Whether a path may be a folder: one that cannot be read counts."""
    try:
        disk.names(path)
    except OSError as error:
        return not isinstance(error, NotADirectoryError)
    return True

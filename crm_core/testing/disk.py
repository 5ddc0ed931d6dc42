"""A disk in memory that forgets unsynced bytes and fails on request.

``kill -9`` alone cannot reveal a missing fsync: the kernel still has the bytes. This disk records the synced bytes of
each file and the synced names of each folder, so ``power_cut`` returns the disk that a machine would restart with.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Literal

Survives = Literal["synced", "half", "all"]


class _File:
    def __init__(self, data: bytes = b"", synced: bytes = b"") -> None:
        self.data, self.synced = bytearray(data), synced


class _Folder:
    def __init__(self) -> None:
        self.names: dict[str, _File | _Folder] = {}
        self.synced: dict[str, _File | _Folder] = {}


class FakeDisk:
    """A file system for stores that accept their disk as an object.

    ``calls`` lists every changing call as ``name file``. ``stop_at``: the number of calls after which every call fails
    (a write still stores half of its bytes); None: never. ``fail_at``: the number of the one call that fails, and its
    errno.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stop_at: int | None = None
        self.fail_at: tuple[int, int] | None = None
        self.syncs = True  # False: sync does nothing, as in a store that forgot it
        self._root = _Folder()
        self._handles: dict[int, _File] = {}
        self._durable: set[int] = set()  # handles whose writes include a sync
        self._next = 100
        self._faults: list[tuple[str, int]] = []
        self._lock = Lock()

    # -- for tests

    def fail(self, call: str, code: int, times: int = 1) -> None:
        """Make the next calls of a kind fail with an errno; a failed ``write`` has stored half of its bytes."""
        self._faults += [(call, code)] * times

    def heal(self) -> None:
        """Make all calls work again."""
        self._faults, self.stop_at = [], None

    def power_cut(self, survives: Survives = "synced") -> FakeDisk:
        """The disk after a power cut; ``half``: with half of the unsynced bytes; ``all``: after a kill -9."""
        after = FakeDisk()
        after._root = self._after(self._root, survives)
        return after

    def _after(self, folder: _Folder, survives: Survives) -> _Folder:
        fresh = _Folder()
        names = folder.names if survives == "all" else folder.synced
        for name, node in names.items():
            fresh.names[name] = self._after(node, survives) if isinstance(node, _Folder) else _remains(node, survives)
        fresh.synced = dict(fresh.names)
        return fresh

    def edit(self, path: Path, change: Callable[[bytes], bytes]) -> None:
        """Change a file without the store, to damage it."""
        file = self._file(path)
        file.data[:] = change(bytes(file.data))
        file.synced = bytes(file.data)

    # -- for stores

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, durable: bool = False) -> int:
        """Open for appending; each ``durable`` write is a write and a sync, so that either can fail."""
        self._call("open", path)
        with self._lock:
            folder = self._folder(path.parent)
            if exclusive and path.name in folder.names:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            if create:
                folder.names[path.name] = _File()
            elif path.name not in folder.names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            self._next += 1
            self._handles[self._next] = self._file(path)
            if durable:
                self._durable.add(self._next)
            return self._next

    def open_unnamed(self, folder: Path) -> int:
        """Open a file without a name."""
        self._call("open_unnamed", None)
        self._folder(folder)
        with self._lock:
            self._next += 1
            self._handles[self._next] = _File()
            return self._next

    def name(self, handle: int, path: Path) -> None:
        """Name an unnamed file."""
        self._call("name", path)
        with self._lock:
            if path.name in (folder := self._folder(path.parent)).names:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            folder.names[path.name] = self._handles[handle]

    def write(self, handle: int, data: bytes) -> int:
        """Append."""
        file = self._handles[handle]
        try:
            self._call("write", None)
        except OSError:
            file.data += data[: len(data) // 2]
            raise
        if self._faults and self._faults[0][0] == "short":
            self._faults.pop(0)
            data = data[: max(1, len(data) // 3)]
        file.data += data
        if handle in self._durable:
            self.sync(handle)
        return len(data)

    def sync(self, handle: int) -> None:
        """Make a file's bytes durable. If it fails, the unsynced bytes are not durable, as on Linux."""
        file = self._handles[handle]
        self._call("sync", None)
        if self.syncs:
            file.synced = bytes(file.data)

    def truncate(self, handle: int, length: int) -> None:
        """Truncate an open file."""
        self._call("truncate", None)
        del self._handles[handle].data[length:]

    def close(self, handle: int) -> None:
        """Close an open file."""
        self._handles.pop(handle, None)
        self._durable.discard(handle)

    def read(self, path: Path) -> bytes:
        """All of a file."""
        self._fault("read")
        return bytes(self._file(path).data)

    def read_part(self, path: Path, start: int, count: int) -> bytes:
        """Up to so many bytes of a file."""
        return self.read(path)[start : start + count]

    def size(self, path: Path) -> int:
        """Length in bytes."""
        return len(self._file(path).data)

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, sorted."""
        return sorted(self._folder(folder).names)

    def exists(self, path: Path) -> bool:
        """Whether there is a file or folder of that name."""
        try:
            return path.name in self._folder(path.parent).names
        except OSError:
            return False

    def mode(self, path: Path) -> int:
        """Permission bits, as a store should create them."""
        return 0o700 if isinstance(self._folder(path.parent).names[path.name], _Folder) else 0o600

    def replace(self, source: Path, target: Path) -> None:
        """Rename."""
        self._call("replace", target)
        with self._lock:
            node = self._folder(source.parent).names.pop(source.name, None)
            if node is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
            self._folder(target.parent).names[target.name] = node

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        self._call("link", target)
        with self._lock:
            folder = self._folder(target.parent)
            if target.name in folder.names:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            folder.names[target.name] = self._file(source)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        self._call("remove", path)
        if self._folder(path.parent).names.pop(path.name, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        self._call("remove_folder", path)
        self._folder(path.parent).names.pop(path.name, None)

    def make_folder(self, path: Path) -> None:
        """Make a folder; the folders above it are durable immediately."""
        if self.exists(path):
            return
        self._call("make_folder", path)
        above = self._root
        for part in path.parts[1:-1]:
            node = above.names.setdefault(part, above.synced.setdefault(part, _Folder()))
            if not isinstance(node, _Folder):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            above = node
        above.names[path.name] = _Folder()

    def sync_folder(self, path: Path) -> None:
        """Make a folder's names durable."""
        self._call("sync_folder", path)
        if self.syncs:
            folder = self._folder(path)
            folder.synced = dict(folder.names)

    # -- internal

    def _call(self, name: str, path: Path | None) -> None:
        with self._lock:
            if self.stop_at is not None and len(self.calls) >= self.stop_at:
                raise OSError(errno.EIO, "the machine has stopped")
            self.calls.append(f"{name} {path.name if path else ''}".strip())
            if self.fail_at is not None and len(self.calls) == self.fail_at[0]:
                raise OSError(self.fail_at[1], os.strerror(self.fail_at[1]))
        self._fault(name)

    def _fault(self, name: str) -> None:
        with self._lock:
            if self._faults and self._faults[0][0] == name:
                _, code = self._faults.pop(0)
                raise OSError(code, os.strerror(code))

    def _folder(self, path: Path) -> _Folder:
        node: _File | _Folder = self._root
        for part in path.parts[1:]:
            if not isinstance(node, _Folder):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            if part not in node.names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            node = node.names[part]
        if not isinstance(node, _Folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return node

    def _file(self, path: Path) -> _File:
        node = self._folder(path.parent).names.get(path.name)
        if not isinstance(node, _File):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return node


def _remains(file: _File, survives: Survives) -> _File:
    data = file.synced
    if survives == "all":
        data = bytes(file.data)
    elif survives == "half" and bytes(file.data).startswith(file.synced):
        data = bytes(file.data[: (len(file.synced) + len(file.data)) // 2])
    return _File(data, data)

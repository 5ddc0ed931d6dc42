"""Edits of keys.yaml: one at a time, all or nothing, and never of a roster that does not read.

An edit holds a lock on the folder, writes a new file beside the old one (the old one's owner; 0600, or 0640 where its
group could read it, which a server's may have to), flushes it to the disk and puts it in the old one's place, so
a running server sees the old roster or the new one and nothing between.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crm_core.cli.roster_text import with_member, with_tenant
from crm_core.errors import SetupError
from crm_core.settings.document import Mapping, Node, parse, read_text
from crm_core.settings.places import Wrong, setup_error

_BOM = "\ufeff"


def add_tenant(path: Path, tenant: str, *, version: int, secret: str) -> bool:
    """Give a tenant an entry with one key, whose ``secret`` is a reference. False: it has an entry already.

    Raises SetupError: the roster does not read or cannot be written.
    """
    key = {"version": str(version), "secret": secret}

    def change(text: str) -> str | None:
        return None if _has(_tree(text, path), "tenants", tenant) else with_tenant(text, tenant, key)

    return edit_roster(path, change)


def set_member(path: Path, tenant: str, version: int, name: str, value: str) -> None:
    """Set one member of a key, such as ``not_after``. Raises LookupError (no such key), SetupError."""
    edit_roster(path, lambda text: with_member(text, tenant, version, name, value))


def edit_roster(
    path: Path, change: Callable[[str], str | None], *, check: Callable[[Path], object] | None = None
) -> bool:
    """Replace the roster's text by what ``change`` makes of it; None leaves it alone, and False is returned.

    Several edits made within one ``change`` are in force together. ``check`` reads the new roster where it lies before
    it is put in place; when it raises, nothing is changed. Raises SetupError.
    """
    with _locked(path.parent):
        target = path.resolve()  # a link stays a link
        try:
            text = read_text(target, may_be_empty=True)
        except Wrong as wrong:
            raise setup_error(wrong.problems) from None
        _tree(text, path)
        changed = change(text)
        if changed is None:
            return False
        _tree(changed, path)
        _replace(target, (_BOM if target.read_bytes().startswith(_BOM.encode()) else "") + changed, check)
        return True


def _tree(text: str, path: Path) -> Node:
    """The roster's tree. Raises SetupError: an edit of what does not read could make anything of it."""
    try:
        root, problems = parse(text, path.name)
    except Wrong as wrong:
        raise setup_error(wrong.problems) from None
    if problems:
        raise setup_error(problems)
    return root


def _has(node: Node, *path: str) -> bool:
    for name in path:
        members = node.members if isinstance(node, Mapping) else ()
        found = next((member for member in members if member.name == name), None)
        if found is None:
            return False
        node = found.value
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One edit at a time; the lock is on the folder, since the file itself is replaced."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SetupError([f"{folder}: the folder cannot be opened ({error.strerror}); check --config"]) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(target: Path, text: str, check: Callable[[Path], object] | None) -> None:
    """Put a text in a file's place; after a crash at any moment the old or the new one stands there whole."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with ExitStack() as undo:
            beside = Path(name)
            undo.callback(beside.unlink)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                owner = target.stat()
                if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(handle, owner.st_uid, owner.st_gid)  # else the server could not read what root edited
                os.fchmod(handle, 0o600 | (owner.st_mode & 0o040))
                file.write(text)
                file.flush()
                os.fsync(handle)
            if check is not None:
                _checked(check, beside, target)
            beside.replace(target)
            undo.pop_all()
        _fsync_folder(target.parent)
    except OSError as error:
        told = f"{target}: cannot be written ({error.strerror}); check its owner, permissions and the disk"
        raise SetupError([told]) from None


def _checked(check: Callable[[Path], object], beside: Path, target: Path) -> None:
    try:
        check(beside)
    except SetupError as error:
        raise SetupError(problem.replace(beside.name, target.name) for problem in error.problems) from None


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

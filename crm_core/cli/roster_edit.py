"""Edits of keys.yaml: atomic, one at a time, and only of a valid roster.

An edit locks the folder, writes a new file next to the old one (same owner; 0600, or 0640 if the group could read the
old one), flushes it to disk and replaces the old one. So a running server sees the old roster or the new one.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from crm_core.cli.roster_text import tenants_in, with_member, with_name, with_tenants, without_tenant
from crm_core.errors import SetupError
from crm_core.settings.document import parse, read_text
from crm_core.settings.places import Wrong, setup_error

_BOM = "\ufeff"


def add_tenants(path: Path, secrets: Mapping[str, str]) -> list[str]:
    """Add an entry with key version 1 for each tenant without one, from its secret (a reference); return their names.

    Raises SetupError: the roster cannot be read or written.
    """
    added: list[str] = []

    def change(text: str) -> str | None:
        known = tenants_in(text)
        added.extend(name for name in secrets if name not in known)
        keys = {name: {"version": "1", "secret": secrets[name]} for name in added}
        return with_tenants(text, keys) if added else None

    edit_roster(path, change)
    return added


def remove_tenant(path: Path, tenant: str) -> bool:
    """Remove the entry of a tenant. False: it has none. Raises SetupError."""
    return edit_roster(path, lambda text: without_tenant(text, tenant) if tenant in tenants_in(text) else None)


def rename_tenant(path: Path, tenant: str, name: str) -> bool:
    """Rename the entry of a tenant. False: it has none, or the new name has one. Raises SetupError."""

    def change(text: str) -> str | None:
        known = tenants_in(text)
        return with_name(text, tenant, name) if tenant in known and name not in known else None

    return edit_roster(path, change)


def has_entry(path: Path, tenant: str) -> bool:
    """Whether the roster has an entry of a tenant. Raises SetupError."""
    found: list[bool] = []
    edit_roster(path, lambda text: found.append(tenant in tenants_in(text)))
    return found == [True]


@contextmanager
def mentioning(done: str) -> Iterator[None]:
    """Make an error of the roster say what was ``done`` before it. Raises SetupError."""
    try:
        yield
    except SetupError as error:
        raise SetupError([*error.problems, f"{done}: run the command again to finish it"]) from None


def require_editable(path: Path) -> None:
    """Raise SetupError if the roster cannot be edited: before a command changes something else."""
    edit_roster(path, lambda _text: None)


def set_member(path: Path, tenant: str, version: int, name: str, value: str) -> None:
    """Set one member of a key, such as ``not_after``. Raises LookupError (no such key), SetupError."""
    edit_roster(path, lambda text: with_member(text, tenant, version, name, value))


def edit_roster(
    path: Path, change: Callable[[str], str | None], *, check: Callable[[Path], object] | None = None
) -> bool:
    """Replace the roster's text with the result of ``change``. If that is None, leave it alone and return False.

    All edits of one ``change`` take effect together. ``check`` gets the path of the new roster before it replaces the
    old one; if it raises, nothing has changed. Raises SetupError.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    with _locked(target.parent):
        try:
            text = read_text(target, may_be_empty=True)
        except Wrong as wrong:
            raise setup_error(wrong.problems) from None
        _refuse_invalid(text, path)
        changed = change(text)
        if changed is None:
            return False
        _refuse_invalid(changed, path)
        _remove_left(target)
        _replace(target, (_BOM if target.read_bytes().startswith(_BOM.encode()) else "") + changed, check)
        return True


def _refuse_invalid(text: str, path: Path) -> None:
    """Raise SetupError if the roster is not well-formed: an edit of it could turn it into anything."""
    try:
        _, problems = parse(text, path.name)
    except Wrong as wrong:
        raise setup_error(wrong.problems) from None
    if problems:
        raise setup_error(problems)


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


def _remove_left(target: Path) -> None:
    """Remove the new files of edits that were killed: they contain keys, and no other edit is in progress."""
    for left in target.parent.glob(f".{target.name}.{'[a-z0-9_]' * 8}"):
        with suppress(OSError):
            left.unlink()


def _replace(target: Path, text: str, check: Callable[[Path], object] | None) -> None:
    """Replace a file's text; after a crash at any moment the file is complete, old or new."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with ExitStack() as undo:
            edited = Path(name)
            undo.callback(edited.unlink)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                owner = target.stat()
                if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(handle, owner.st_uid, owner.st_gid)  # or the server could not read root's file
                os.fchmod(handle, 0o600 | (owner.st_mode & 0o040))
                file.write(text)
                file.flush()
                os.fsync(handle)
            if check is not None:
                _checked(check, edited, target)
            edited.replace(target)
            undo.pop_all()
        _fsync_folder(target.parent)
    except OSError as error:
        problem = f"{target}: cannot be written ({error.strerror}); check its owner, permissions and the disk"
        raise SetupError([problem]) from None


def _checked(check: Callable[[Path], object], edited: Path, target: Path) -> None:
    try:
        check(edited)
    except SetupError as error:
        raise SetupError(problem.replace(edited.name, target.name) for problem in error.problems) from None


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

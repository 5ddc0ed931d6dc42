"""The format that a tenant's files were written in, looked at before anything in its folder is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from crm_tinydb.checksum import stated_format
from crm_tinydb.disk import Disk
from crm_tinydb.framing import FORMAT, NewerFormat, opened
from crm_tinydb.ring import NAME as RING
from crm_tinydb.segments import PREVIOUS

IDENTITY = "identity"
IDENTITY_TEXT = b"crm tenant store, format %d\n" % FORMAT
LOOKED_AT = 512  # bytes from the start of a file: its format is among them

_IDENTITY = re.compile(rb"crm tenant store, format (\d{1,9})\b")
_STORE_NAME = re.compile(r"store-\d+\.json")
_LINES_NAME = re.compile(r"journal-\d+\.log|log-\d+-\d+\.seg|" + re.escape(RING))


class NewerStore(Exception):
    """A tenant's folder that a newer version has written to. ``clause`` names a file and its format."""

    def __init__(self, clause: str) -> None:
        super().__init__(
            f"A newer version wrote to the tenant's store: {clause}. "
            "Start that version, or restore a backup of this one; nothing was changed."
        )


class _Header(msgspec.Struct):
    """The part of a first line that every format has."""

    format: int


def newer_file(disk: Disk, folder: Path) -> str:
    """The first of a tenant's files that a newer version wrote and its format, as a clause; empty if there is none.

    One such file is enough: another version has written here, and what it wrote must not be guessed at. Raises OSError.
    """
    places = [place for place in (folder, folder / PREVIOUS) if disk.exists(place)]
    for path in (place / name for place in places for name in disk.names(place)):
        try:
            number = _format_of(path.name, disk, path)
        except FileNotFoundError:  # a fold has just moved or removed it
            continue
        if number > FORMAT:
            return f"{path.name} {NewerFormat(number).reason}"
    return ""


def refuse_newer(disk: Disk, folder: Path) -> None:
    """Raise NewerStore if a newer version has written to a tenant's folder. Raises OSError."""
    if newer := newer_file(disk, folder):
        raise NewerStore(newer)


def newer_files(disk: Disk, home: Path, tenants: Iterable[str]) -> dict[str, str]:
    """``newer_file`` of those tenants that have one, by name. A folder that cannot be read is left to its opening."""
    found = {}
    for tenant in sorted(tenants):
        with suppress(OSError):
            if newer := newer_file(disk, home / tenant):
                found[tenant] = newer
    return found


def newer_identities(disk: Disk, home: Path, tenants: Iterable[str]) -> set[str]:
    """The tenants whose file ``identity`` is of a newer format: a look at all of them costs one small read each."""
    found = set()
    for tenant in tenants:
        with suppress(OSError):
            if _format_of(IDENTITY, disk, home / tenant / IDENTITY) > FORMAT:
                found.add(tenant)
    return found


def _format_of(name: str, disk: Disk, path: Path) -> int:
    """The format that a file names; 0 for a file that names none, which is damaged or is not one of the store's."""
    if name == IDENTITY:
        found = _IDENTITY.match(disk.read_start(path, LOOKED_AT))
        return int(found[1]) if found else 0
    if _STORE_NAME.fullmatch(name):
        return stated_format(disk.read_start(path, LOOKED_AT))
    if _LINES_NAME.fullmatch(name):
        return _format_of_lines(disk.read_start(path, LOOKED_AT))
    return 0


def _format_of_lines(data: bytes) -> int:
    text = opened(data.partition(b"\n")[0])
    try:
        return 0 if text is None else msgspec.json.decode(text, type=_Header).format
    except msgspec.MsgspecError:
        return 0

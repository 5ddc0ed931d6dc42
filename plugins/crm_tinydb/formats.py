"""The format of a tenant's files, checked before anything in its folder is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from crm_tinydb.checksum import stated_format
from crm_tinydb.disk import Disk
from crm_tinydb.framing import FORMAT, NewerFormat, unframed
from crm_tinydb.ring import NAME as RING
from crm_tinydb.segments import PREVIOUS

IDENTITY = "identity"
IDENTITY_TEXT = b"crm tenant store, format %d\n" % FORMAT
HEAD_BYTES = 512  # bytes from the start of a file: its format is among them

_IDENTITY = re.compile(rb"crm tenant store, format (\d{1,9})\b")
_STORE_NAME = re.compile(r"store-\d+\.json")
_LINES_NAME = re.compile(r"journal-\d+\.log|log-\d+-\d+\.seg|changes-\d+-\d+-\d+\.seg|" + re.escape(RING))


class NewerStore(Exception):
    """A newer version wrote to a tenant's folder. ``clause`` names a file and its format."""

    def __init__(self, clause: str) -> None:
        super().__init__(
            f"A newer version wrote to the tenant's store: {clause}. "
            "Start that version, or restore a backup of this one; nothing was changed."
        )


class _Header(msgspec.Struct):
    """The part of a first line that every format has."""

    format: int


_header_decoder = msgspec.json.Decoder(_Header)


def newer_file(disk: Disk, folder: Path) -> str:
    """The first of a tenant's files that a newer version wrote and its format, as a clause; empty if there is none.

    One such file is enough to refuse the tenant: its content must not be guessed. Raises OSError.
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


def newer_files(disk: Disk, tenants_dir: Path, tenants: Iterable[str]) -> dict[str, str]:
    """``newer_file`` of the tenants that have one, by name. Folders that cannot be read are skipped."""
    found = {}
    for tenant in sorted(tenants):
        with suppress(OSError):
            if newer := newer_file(disk, tenants_dir / tenant):
                found[tenant] = newer
    return found


def newer_identities(disk: Disk, tenants_dir: Path, tenants: Iterable[str]) -> set[str]:
    """The tenants whose file ``identity`` has a newer format; costs one small read each."""
    found = set()
    for tenant in tenants:
        with suppress(OSError):
            if _format_of(IDENTITY, disk, tenants_dir / tenant / IDENTITY) > FORMAT:
                found.add(tenant)
    return found


def _format_of(name: str, disk: Disk, path: Path) -> int:
    """The format that a file names; 0 if it names none: it is damaged, or not a file of the store."""
    if name == IDENTITY:
        found = _IDENTITY.match(disk.read_part(path, 0, HEAD_BYTES))
        return int(found[1]) if found else 0
    if _STORE_NAME.fullmatch(name):
        return stated_format(disk.read_part(path, 0, HEAD_BYTES))
    if _LINES_NAME.fullmatch(name):
        return _format_of_lines(disk.read_part(path, 0, HEAD_BYTES))
    return 0


def _format_of_lines(data: bytes) -> int:
    text = unframed(data.partition(b"\n")[0])
    try:
        return 0 if text is None else _header_decoder.decode(text).format
    except msgspec.MsgspecError:
        return 0

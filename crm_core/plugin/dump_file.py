"""A dump in one file: a backup for backends that have no form for one."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from crm_core.errors import SetupError
from crm_core.model.log import LogEntry
from crm_core.plugin.dump import DumpHead, IndexedDocument, Part
from crm_core.plugin.query import StoredChange
from crm_core.plugin.unit import Claim

_FORMAT: Final = b"crm dump, format 1\n"
_KINDS: Final[dict[str, Any]] = {
    "head": DumpHead,
    "document": IndexedDocument,
    "claim": Claim,
    "entry": LogEntry,
    "change": StoredChange,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_encode: Final = msgspec.json.Encoder().encode
_line: Final = msgspec.json.Decoder(tuple[str, msgspec.Raw])


def of_another_backend(source: Path) -> SetupError:
    """The refusal of a backup in a form of another backend."""
    advice = "restore it with the backend that wrote it, then copy the tenants with crm migrate --to"
    return SetupError([f"{source} is not a backup of this storage backend: {advice}"])


def is_dump(text: bytes) -> bool:
    """Whether a file with this content was written by ``write_dump``, of whichever backend."""
    return text.startswith(_FORMAT)


async def write_dump(target: Path, parts: AsyncIterator[Part]) -> None:
    """Write a new file (0600), durable when it has its name. Raises SetupError, and what ``parts`` raises."""
    if target.exists():
        raise SetupError([f"{target} exists already: name a new file"])
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # no other writer shares it
    except OSError as error:
        raise SetupError([f"{target} cannot be written: {error.strerror}"]) from None
    fresh = Path(name)
    try:
        digest = hashlib.sha256(_FORMAT)
        with os.fdopen(handle, "wb") as file:
            file.write(_FORMAT)
            async for part in parts:
                text = _encode((_NAMES[type(part)], part)) + b"\n"
                digest.update(text)
                file.write(text)
            file.write(_encode(("end", digest.hexdigest())) + b"\n")
            file.flush()
            await asyncio.to_thread(os.fsync, handle)
        await asyncio.to_thread(_name, fresh, target)
    except FileExistsError:
        raise SetupError([f"{target} exists already: name a new file"]) from None
    except OSError as error:
        raise SetupError([f"{target} cannot be written: {error.strerror}"]) from None
    finally:
        with suppress(OSError):
            fresh.unlink()


def _name(fresh: Path, target: Path) -> None:
    """Give a complete file its name, durably. Raises FileExistsError if it is taken, and OSError."""
    try:
        os.link(fresh, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        # This file system has no hard links: reserve the name, then replace the empty file.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        fresh.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def read_dump(source: Path, epoch: Callable[[], str]) -> AsyncIterator[Part]:
    """The parts of a whole file, under a new epoch. Raises SetupError before the first if it is not whole."""
    try:
        await asyncio.to_thread(_check, source)
        with source.open("rb") as file:
            next(file)
            for text in file:
                name, raw = _line.decode(text)
                if name != "end":
                    part: Part = msgspec.json.decode(raw, type=_KINDS[name])
                    if isinstance(part, DumpHead):
                        part = msgspec.structs.replace(part, epoch=epoch())
                    yield part
    except OSError as error:
        raise SetupError([f"{source} cannot be read: {error.strerror}"]) from None
    except (msgspec.MsgspecError, KeyError):
        raise SetupError([f"{source} is not a whole backup: use another copy"]) from None


def _check(source: Path) -> None:
    """Raise SetupError unless the file ends with the hash of all before. Raises OSError."""
    digest, last = hashlib.sha256(), b""
    with source.open("rb") as file:
        if (first := file.readline()) != _FORMAT:
            raise of_another_backend(source)
        digest.update(first)
        for text in file:
            digest.update(last)
            last = text
    if last != _encode(("end", digest.hexdigest())) + b"\n":
        raise SetupError([f"{source} is not a whole backup: use another copy"])

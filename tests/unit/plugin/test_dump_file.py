"""Backups in one file, of backends that have no form for one."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from crm_core.errors import SetupError
from crm_core.model.log import Head
from crm_core.plugin.dump import DumpHead, IndexedDocument, Part
from crm_core.plugin.dump_file import read_dump, write_dump
from crm_core.plugin.storage import Document
from loop_watch import LoopWatch


async def parts(count: int = 3, size: int = 100) -> AsyncIterator[Part]:
    """A small tenant, whose reader waits for each part."""
    yield DumpHead(seq=0, revision=1, head=Head(), anchor=Head(), forgotten={}, epoch="old", newest=0)
    for number in range(count):
        await asyncio.sleep(0)
        yield IndexedDocument(Document("notes", f"n{number}", 1, b"x" * size), {})


async def test_a_backup_is_read_back_under_a_new_epoch(tmp_path: Path) -> None:
    """All parts are as they were, in a file for its owner alone; one that was cut off is refused."""
    target = tmp_path / "north.backup"
    await write_dump(target, parts())
    head, *others = [part async for part in read_dump(target, lambda: "new")]
    assert isinstance(head, DumpHead)
    assert (head.epoch, others) == ("new", [part async for part in parts()][1:])
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.write_bytes(target.read_bytes()[:-20])
    with pytest.raises(SetupError, match="not a whole backup"):
        await anext(read_dump(target, lambda: "new"))


async def backups_to_one_name(target: Path) -> tuple[list[str], int]:
    """Make five at a time: how each ended, and of how many parts the file is."""
    outcomes = await asyncio.gather(*(write_dump(target, parts()) for _ in range(5)), return_exceptions=True)
    return sorted(str(outcome) for outcome in outcomes), len([part async for part in read_dump(target, lambda: "new")])


async def test_of_backups_to_one_name_one_is_made(tmp_path: Path) -> None:
    """The others are refused, disturb no one, and leave nothing."""
    target = tmp_path / "north.backup"
    ended, length = await backups_to_one_name(target)
    assert ended == [f"{target} exists already: name a new file"] * 4 + ["None"]
    assert length == 4
    assert list(tmp_path.iterdir()) == [target]


async def test_a_backup_that_is_done_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced before it has its name, and then its folder, as a tenant may be removed next."""
    target, synced, sync = tmp_path / "north.backup", list[tuple[bool, bool]](), os.fsync

    def recorded(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), target.exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    await write_dump(target, parts())
    assert synced == [(False, False), (True, True)]


async def test_a_file_system_without_links_has_backups_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is reserved first, so a file that exists is not replaced."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "north.backup"
    ended, length = await backups_to_one_name(target)
    assert ended == [f"{target} exists already: name a new file"] * 4 + ["None"]
    assert length == 4
    assert list(tmp_path.iterdir()) == [target]


async def test_a_large_backup_is_checked_off_the_event_loop(tmp_path: Path) -> None:
    """Before a restore begins, its file is read and hashed in a thread."""
    target = tmp_path / "north.backup"
    await write_dump(target, parts(300, 100_000))
    longest = []
    for _ in range(3):  # other processes may slow one of them down
        async with aclosing(read_dump(target, lambda: "new")) as read:
            with LoopWatch() as watch, watch.part() as found:
                await asyncio.sleep(0)
                await anext(read)
        longest.append(found.seconds)
    assert min(longest) < 0.01

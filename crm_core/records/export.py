"""Records as NDJSON and CSV."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any

import msgspec

from crm_core.model.spreadsheet import BOM, PhoneNumber, line, lines
from crm_core.model.turns import Turn
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import OWNED_FIRST, OWNED_LAST
from crm_core.plugin.storage import Document
from crm_core.records.shape import Shape

_LINES = 20  # of CSV, formatted at a time
_FRACTIONS = ("decimal", "number")  # kinds
_GROUP = 3  # digits between two signs that group thousands

Pages = AsyncIterator[tuple[Document, ...]]


async def as_ndjson(pages: Pages) -> AsyncGenerator[bytes, None]:
    """One stored record per line."""
    turn = Turn()
    async for documents in pages:
        if documents:
            yield b"\n".join(document.body for document in documents) + b"\n"
        await turn.pause()


async def as_csv(shape: Shape, pages: Pages, *, bom: bool = False) -> AsyncGenerator[bytes, None]:
    """A header and one record per line. ``address.city`` is a member of a member.

    Lists are joined with commas, rows are JSON. ``bom``: begin with a byte order mark, by which spreadsheets recognise
    UTF-8.
    """
    columns = dict(_columns(shape.record_type.members))
    yield BOM * bom + line(".".join(path) for path in columns)
    turn = Turn()
    async for documents in pages:
        for start in range(0, len(documents), _LINES):
            some = documents[start : start + _LINES]
            yield lines(_cells(msgspec.json.decode(document.body), columns) for document in some)
            await turn.pause()


def _columns(members: Iterable[Member]) -> Iterable[tuple[tuple[str, ...], str]]:
    """The paths of the columns, each with the kind of its member."""
    yield from (((name,), "") for name in OWNED_FIRST)
    for member in members:
        if member.kind == "object":
            yield from (((member.name, inner.name), inner.kind) for inner in member.members)
        else:
            yield (member.name,), member.kind
    yield from (((name,), "") for name in OWNED_LAST)


def _cells(record: dict[str, Any], columns: Mapping[tuple[str, ...], str]) -> Iterable[Any]:
    for path, kind in columns.items():
        value: Any = record
        for name in path:
            value = None if value is None else value.get(name)
        if isinstance(value, list | dict) and not value:
            value = None
        if value is not None and kind == "phone":
            value = PhoneNumber(value)
        elif value is not None and kind in _FRACTIONS:
            value = _clear(value)
        yield _joined(value) if isinstance(value, list) else value


def _clear(number: str | float) -> str | float:
    """A number with exactly three decimals as one with four: in many countries 1.234 is 1234."""
    return f"{number}0" if len(str(number).partition(".")[2]) == _GROUP else number


def _joined(values: list[Any]) -> str:
    """A list in one cell: texts with commas between them; rows, and texts that have commas, as JSON."""
    are_plain = isinstance(values[0], str) and not any("," in text or text[0] == "[" for text in values)
    return ", ".join(values) if are_plain else msgspec.json.encode(values).decode()

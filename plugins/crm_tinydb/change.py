"""The changes of one unit, as stored in a journal line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from crm_core.model.change_log import ChangeEntry
from crm_core.model.log import LogEntry
from crm_core.plugin.unit import IndexValue


class WrittenDocument(msgspec.Struct, frozen=True, array_like=True):
    """A document as it is after the unit. ``place``: of its newest entry in the change log; 0: it has none."""

    collection: str
    id: str
    revision: int
    indexes: dict[str, IndexValue]
    body: msgspec.Raw
    place: int = 0


class Claimed(msgspec.Struct, frozen=True, array_like=True):
    """A claim, its evidence as JSON."""

    kind: str
    key: str
    evidence: msgspec.Raw
    expires: int | None = None
    stamp: int | None = None
    subject: str = ""


class LoggedChange(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the change log. ``previous``: the place of its record's entry before it; 0: it is the first."""

    place: int
    previous: int
    entry: ChangeEntry


def entry_texts(logged: Iterable[bytes]) -> list[bytes]:
    """The JSON of the entry in each encoded LoggedChange: two numbers are before it."""
    return [text[text.index(b"{") : -1] for text in logged]


class JournalEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unit that passed its expectations: applying changes in the order of ``seq`` rebuilds the state.

    ``changes``: each a LoggedChange; ``erased``: the records that it erases, each with the place of that entry;
    ``epoch``: that of the change log, in stores that an earlier version created without one.
    """

    seq: int
    now: int
    revision: int
    puts: tuple[WrittenDocument, ...] = ()
    deletes: tuple[tuple[str, str], ...] = ()
    claims: tuple[Claimed, ...] = ()
    releases: tuple[tuple[str, str], ...] = ()
    entries: tuple[LogEntry, ...] = ()
    changes: tuple[msgspec.Raw, ...] = ()
    erased: dict[str, int] = {}
    epoch: str = ""


decoder = msgspec.json.Decoder(JournalEntry)
encode = msgspec.json.Encoder().encode
_whole = msgspec.json.Decoder(msgspec.Raw)


def one_line(text: bytes) -> bytes:
    """JSON text that fits into a line: a line feed in JSON can only be white space. Raises ValueError."""
    _whole.decode(text)
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


def storable(indexes: Mapping[str, IndexValue]) -> dict[str, IndexValue]:
    """A copy of index values, each of a kind that can be read back. Raises ValueError."""
    for name, value in indexes.items():
        if isinstance(value, str) or value is None:  # the usual case
            continue
        if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
            continue
        if isinstance(value, tuple) and set(map(type, value)) <= {str}:
            continue
        raise ValueError(f"{value!r} cannot be the value of the index {name}")
    return dict(indexes)

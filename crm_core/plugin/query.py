"""Queries to a store and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final, Literal

import msgspec

from crm_core.model.change_log import ChangeEntry
from crm_core.model.log import Head, LogEntry, is_intact
from crm_core.plugin.unit import Document, IndexValue

_decode: Final = msgspec.json.Decoder(ChangeEntry).decode


class View(msgspec.Struct, frozen=True):
    """The workspace as stored: ``documents`` is None if the caller's ``seen`` revision is still current.

    ``epoch``: that of the change log, without which a revision of a tenant that was restored may be mistaken for the
    one of that number before.
    """

    revision: int
    seq: int
    head: Head
    documents: tuple[Document, ...] | None
    epoch: str = ""


class Read(msgspec.Struct, frozen=True):
    """A document, or None, and the workspace's revision that it was read at.

    ``epoch``: that of ``View``; by it a request that has read its caller knows whether the cached workspace is current.
    """

    document: Document | None
    revision: int
    epoch: str = ""


Comparison = Literal["gt", "gte", "lt", "lte"]


class Bound(msgspec.Struct, frozen=True):
    """Only documents whose value in an index compares so with ``value``, in the order of values; null never does."""

    index: str
    comparison: Comparison
    value: IndexValue


class Term(msgspec.Struct, frozen=True):
    """A search term: one of a document's values begins with ``prefix``, or contains a text.

    ``inside``: a mark and a text; a value that begins with the mark and contains the text after it is found too.
    ``prefix`` None: only such values.
    """

    prefix: str | None = None
    inside: tuple[str, str] | None = None


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a collection in the order of one index, null last in both directions, ties by id in the same direction.

    ``filters``: equality of an index with one of several values (of any value if the index has a tuple). ``terms``:
    each must find one of the values of the tuple index ``search``. ``after``: (sort value, id) of the last row of the
    page before.
    """

    collection: str
    sort: str
    descending: bool = False
    filters: tuple[tuple[str, tuple[IndexValue, ...]], ...] = ()
    bounds: tuple[Bound, ...] = ()
    search: str = "words"
    terms: tuple[Term, ...] = ()
    after: tuple[IndexValue, str] | None = None
    limit: int = 50
    total: bool = False


class Page(msgspec.Struct, frozen=True):
    """Rows in order; ``next`` is the ``after`` of the following page, None at the end."""

    documents: tuple[Document, ...]
    next: tuple[IndexValue, str] | None
    revision: int
    total: int | None = None


class EntryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The log, newest first (by id).

    ``after``: the id of the last entry of the page before. ``verified``: only the chain (True), only the ring (False),
    both (None). ``equals``: equality on entry members. ``since`` and ``until`` (inclusive, exclusive) compare
    received_at.
    """

    equals: tuple[tuple[str, str | int], ...] = ()
    since: str | None = None
    until: str | None = None
    verified: bool | None = None
    after: str | None = None
    limit: int = 50


class KeyUse(msgspec.Struct, frozen=True):
    """How often a key version appears in the retained, verified log, and when last."""

    uses: int
    last_used_at: str


class Tally(msgspec.Struct, frozen=True):
    """Counts over the retained log.

    ``statuses``: verified attempts received since the requested moment, by status, and ``unverified`` (the sum of their
    counts). Of the ring, those that failed with a valid signature count as ``failed``, repeats of accepted pushes
    (``applied``, ``unchanged``) not at all, others as ``unverified``. ``keys``: by key version, over the whole retained
    log.
    """

    statuses: Mapping[str, int]
    keys: Mapping[int, KeyUse]


class StoredChange(msgspec.Struct, frozen=True):
    """An entry of the change log at its ``place``: entries are numbered from 1 in commit order, without a gap."""

    place: int
    entry: ChangeEntry


class ChangePage(msgspec.Struct, frozen=True, dict=True):
    """Entries of the change log after the place ``after``, oldest first.

    ``texts``: each as the JSON that ``msgspec.json.encode`` made of it; None if the place is before ``oldest``, after
    which all entries are retained, or after ``newest``. ``epoch``: a text that a tenant gets when it is created or
    restored, never again the same: places of another epoch mean nothing. ``seq`` and ``revision``: of the tenant's
    units and workspace when it was read.
    """

    epoch: str
    oldest: int
    newest: int
    seq: int
    revision: int
    after: int = 0
    texts: tuple[bytes, ...] | None = ()

    @cached_property
    def entries(self) -> tuple[StoredChange, ...] | None:
        """The entries, decoded when they are first read. The change feed does without."""
        if self.texts is None:
            return None
        return tuple([StoredChange(place, _decode(text)) for place, text in enumerate(self.texts, self.after + 1)])


class StoreState(msgspec.Struct, frozen=True):
    """Whether a tenant's store accepts writes, and if not, why, in a sentence."""

    mode: Literal["ok", "read_only", "quarantined"] = "ok"
    reason: str = ""


class ChainReport(msgspec.Struct, frozen=True):
    """Result of walking a tenant's chain from its anchor: ``problems`` in sentences, empty if the chain is intact."""

    anchor: Head
    head: Head
    entries: int
    problems: tuple[str, ...]


class ChainWalk:
    """The walk of ``StorageBackend.verify``: it gets the chain's entries, oldest first, and makes the report.

    ``anchor``: the link before the oldest retained entry; ``wanted``: one that must be in the chain. ``head``: the last
    link so far; ``problems``: those found so far, to which a backend may add its own.
    """

    def __init__(self, anchor: Head, wanted: Head | None) -> None:
        self.head, self.problems = anchor, list[str]()
        self._anchor, self._wanted, self._entries = anchor, wanted, 0
        self._found = wanted is None or wanted in (anchor, Head())

    def add(self, seq: int, entry: LogEntry) -> None:
        """Check the next entry, which is stored under the number ``seq``."""
        if seq != self.head.seq + 1:
            self.problems.append(f"entry {seq} follows entry {self.head.seq}: entries are missing or out of order")
        elif entry.prev_hash != self.head.hash:
            self.problems.append(f"entry {seq} does not continue the hash of entry {self.head.seq}")
        if entry.seq != seq or not is_intact(entry):
            self.problems.append(f"entry {seq} was changed: its hash does not match its content")
        self.head = Head(seq, entry.entry_hash or "")
        self._entries += 1
        self._found = self._found or self.head == self._wanted

    def report(self, newest: Head) -> ChainReport:
        """The result at the end; ``newest``: where the chain ends according to the store."""
        if self.head != newest:
            self.problems.append(f"the chain ends with entry {self.head.seq}, the store's newest is {newest.seq}")
        if not self._found and self._wanted is not None:
            dropped = " (it is before the oldest retained entry)" if self._wanted.seq < self._anchor.seq else ""
            self.problems.append(f"entry {self._wanted.seq} with the given hash is not in the chain{dropped}")
        return ChainReport(self._anchor, self.head, self._entries, tuple(self.problems))

"""Queries to a store and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from crm_core.model.log import Head
from crm_core.plugin.unit import Document, IndexValue, Notice


class View(msgspec.Struct, frozen=True):
    """The workspace as stored: ``documents`` is None if the caller's ``seen`` revision is still current."""

    revision: int
    seq: int
    head: Head
    documents: tuple[Document, ...] | None


class Read(msgspec.Struct, frozen=True):
    """A document, or None, and the workspace revision it was read at."""

    document: Document | None
    revision: int


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a collection in the order of one index, ties by id in the same direction.

    ``filters``: equality on indexes (on any value if the index has a tuple). ``words``: folded prefixes that must
    each begin one of the values of the tuple index ``search``. ``since``: only documents whose value in that
    index is at or after the given one. ``after``: (sort value, id) of the last row of the page before.
    """

    collection: str
    sort: str
    descending: bool = False
    filters: tuple[tuple[str, IndexValue], ...] = ()
    search: str = "words"
    words: tuple[str, ...] = ()
    since: tuple[str, str] | None = None
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

    ``after``: the id of the last entry of the page before. ``verified``: only the
    chain (True), only the ring (False), both (None). ``equals``: equality on entry members.
    ``since`` and ``until`` (inclusive, exclusive) compare received_at.
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

    ``statuses``: verified attempts received since the requested moment, by status, and
    ``unverified`` (the sum of their counts); ``keys``: by key version, over the whole retained log.
    """

    statuses: Mapping[str, int]
    keys: Mapping[int, KeyUse]


class StoredNotice(msgspec.Struct, frozen=True):
    """A notice with the seq of its unit."""

    seq: int
    notice: Notice


class StoreState(msgspec.Struct, frozen=True):
    """Whether a tenant's store takes writes, and if not, why, in a sentence."""

    mode: Literal["ok", "read_only", "quarantined"] = "ok"
    reason: str = ""


class ChainReport(msgspec.Struct, frozen=True):
    """Result of walking a tenant's chain from its anchor: ``problems`` in sentences, empty if the chain is intact."""

    anchor: Head
    head: Head
    entries: int
    problems: tuple[str, ...]

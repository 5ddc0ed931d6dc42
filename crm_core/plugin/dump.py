"""A tenant as plain values that any storage backend can write and any other can load."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from crm_core.model.log import Head, LogEntry
from crm_core.plugin.query import StoredChange
from crm_core.plugin.unit import Claim, Document, IndexValue


class DumpHead(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of a tenant. ``anchor``: the link before the oldest retained entry of the chain.

    ``forgotten``: for each kind of claims the highest stamp that was forgotten. ``epoch`` and ``newest``: of the change
    log, with the place of its newest entry.
    """

    seq: int
    revision: int
    head: Head
    anchor: Head
    forgotten: Mapping[str, int]
    epoch: str
    newest: int


class IndexedDocument(msgspec.Struct, frozen=True):
    """A document with the values by which it is found; a tuple of one text means the same as that text."""

    document: Document
    indexes: Mapping[str, IndexValue]


Part = DumpHead | IndexedDocument | Claim | LogEntry | StoredChange
"""The head first; then documents by collection and id, claims by kind and key, the retained chain by seq, unverified
attempts by id, and the retained change log by place, without what erased records said."""

"""Units and their parts, the changes that a store makes: frozen values without callbacks, clocks or plugin code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from crm_core.model.change_log import ChangeEntry
from crm_core.model.log import Head, LogEntry

IndexValue = str | int | bool | None | tuple[str, ...]
"""A value by which documents are found, filtered and sorted. A tuple matches a filter on any of its values and
contains the values of a search index. Order: false, true, then integers, then texts by code point; null is last."""


class Document(msgspec.Struct, frozen=True):
    """A stored document: ``body`` is JSON text, ``revision`` counts its puts from 1."""

    collection: str
    id: str
    revision: int
    body: bytes


class Put(msgspec.Struct, frozen=True):
    """Write a document; ``indexes`` carries every value that queries on the collection may name.

    ``moved_at``: the revision of the document in another collection, which it leaves in the same unit and from which
    its revisions continue.
    """

    collection: str
    id: str
    body: bytes
    indexes: Mapping[str, IndexValue] = {}
    moved_at: int = 0


class Delete(msgspec.Struct, frozen=True):
    """Delete a document. Deleting one that does not exist is no error."""

    collection: str
    id: str


class Claim(msgspec.Struct, frozen=True):
    """Something that the store grants once: a nonce, an idempotency key, a refresh token.

    ``evidence`` is JSON about the first use. The store may forget the claim once ``Unit.now`` of a later unit is past
    ``expires`` (Unix seconds; None: never). ``stamp`` (Unix seconds) is the moment the claim speaks of: the store
    remembers, for good, the highest stamp it has forgotten per kind, and refuses a claim at or below it
    (``Conflict("forgotten")``), so no clock and no setting can make it grant a claim twice. ``subject``: the id of the
    record that the evidence is about; when it is erased, the evidence becomes ``null``.
    """

    kind: str
    key: str
    evidence: bytes
    expires: int | None = None
    stamp: int | None = None
    subject: str = ""


class WorkspaceAt(msgspec.Struct, frozen=True, tag=True):
    """Expect the workspace at this revision of this epoch; an empty one matches any."""

    revision: int
    epoch: str = ""


class DocumentAt(msgspec.Struct, frozen=True, tag=True):
    """Expect a document at this revision; 0: expect it absent."""

    collection: str
    id: str
    revision: int


class DocumentExists(msgspec.Struct, frozen=True, tag=True):
    """Expect a document, at any revision: one that the unit's documents refer to."""

    collection: str
    id: str


class IndexFree(msgspec.Struct, frozen=True, tag=True):
    """Expect no document but ``id`` and those that the unit deletes to have this value in the index."""

    collection: str
    index: str
    value: IndexValue
    id: str


class CountBelow(msgspec.Struct, frozen=True, tag=True):
    """Expect the collection to have at most ``limit`` documents once the unit is in."""

    collection: str
    limit: int


Expectation = WorkspaceAt | DocumentAt | DocumentExists | IndexFree | CountBelow


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """All that one operation changes, as a plain value. ``now``: Unix seconds by the caller's clock.

    ``revises``: the unit makes the next workspace revision. Entries arrive without seq and hashes; the store links
    them into the tenant's chain in commit order.

    ``changes`` is what happened, in order: the unit's part of the tenant's change log. An entry of a record belongs to
    the document with its id, which the unit puts or deletes. From an entry ``erased`` on, nothing that the store
    returns contains more of the record than ``redacted`` leaves of its entries: earlier ones are redacted, and the
    evidence of claims about it is ``null``. The tenant's next fold removes the rest from files.
    """

    now: int
    expect: tuple[Expectation, ...] = ()
    claims: tuple[Claim, ...] = ()
    puts: tuple[Put, ...] = ()
    deletes: tuple[Delete, ...] = ()
    releases: tuple[tuple[str, str], ...] = ()  # claims given back: (kind, key)
    entries: tuple[LogEntry, ...] = ()
    changes: tuple[ChangeEntry, ...] = ()
    revises: bool = False


class Committed(msgspec.Struct, frozen=True):
    """A unit is durable.

    ``seq`` counts the tenant's units from 1; ``head`` is the log's newest link after it; ``documents`` are the
    revisions of the puts, in their order.
    """

    seq: int
    revision: int
    head: Head
    documents: tuple[int, ...] = ()


class Conflict(msgspec.Struct, frozen=True):
    """Nothing was changed. ``what`` names the first condition that failed, in the order claims, expectations.

    ``claim`` is set for ``claim`` (with the ``evidence`` of its first use) and ``forgotten``, ``expectation`` for the
    others.
    """

    what: Literal["claim", "forgotten", "workspace", "document", "index", "count"]
    expectation: Expectation | None = None
    claim: Claim | None = None
    evidence: bytes = b""


class OutcomeUnknown(Exception):
    """The connection broke while committing: look a claim of the unit up to learn what became of it."""

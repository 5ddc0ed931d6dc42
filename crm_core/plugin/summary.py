"""Facts of a tenant for lists of tenants, small enough to be stored in one file while it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from crm_core.errors import (
    KeyInactive,
    KeyUnknown,
    SignatureInvalid,
    SourceNotAllowed,
    TimestampOutOfWindow,
    TypeNotAllowed,
)
from crm_core.model.log import ACCEPTED, LogEntry
from crm_core.plugin.query import EntryQuery, StoreState
from crm_core.plugin.unit import Document

RECENT: Final = 5  # entries of each kind
_RECENT, _UNVERIFIED = "recent", "unverified"
_LOOKED_THROUGH: Final = 50  # newest unverified attempts, most of which may be unsigned
_SIGNED: Final = frozenset(
    error.code
    for error in (KeyUnknown, KeyInactive, SignatureInvalid, TimestampOutOfWindow, SourceNotAllowed, TypeNotAllowed)
)
QUERIES: Final[Mapping[str, EntryQuery]] = {
    _RECENT: EntryQuery(verified=True, limit=RECENT),
    _UNVERIFIED: EntryQuery(verified=False, limit=_LOOKED_THROUGH),
    **{status: EntryQuery(equals=(("status", status),), verified=True, limit=1) for status in ACCEPTED},
}
"""The parts of the log that ``summary_of`` needs."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a tenant's store. ``recent`` and ``unverified`` are newest first.

    ``recent``: verified log entries; ``unverified``: attempts that were signed and failed verification, as after a
    mistake in keys or clocks; ``last_success``: the newest that was accepted. ``sections``: their documents, or what
    ``StorageContext.digest`` made of these.
    """

    revision: int
    recent: tuple[LogEntry, ...]
    unverified: tuple[LogEntry, ...]
    last_success: LogEntry | None
    sections: tuple[Document, ...] | bytes
    state: StoreState = StoreState()


def summary_of(
    revision: int,
    sections: tuple[Document, ...] | bytes,
    found: Mapping[str, tuple[LogEntry, ...]],
    state: StoreState = StoreState(),  # noqa: B008 -- frozen
) -> Summary:
    """The summary of what the ``QUERIES`` found."""
    accepted = [entry for status in ACCEPTED for entry in found[status]]
    return Summary(
        revision=revision,
        recent=found[_RECENT],
        unverified=tuple(entry for entry in found[_UNVERIFIED] if entry.error_code in _SIGNED)[:RECENT],
        last_success=max(accepted, key=lambda entry: entry.seq or 0, default=None),
        sections=sections,
        state=state,
    )

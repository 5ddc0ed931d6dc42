"""Facts of a tenant for lists of tenants, small enough to be stored in one file while it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from crm_core.model.log import ACCEPTED, LogEntry
from crm_core.plugin.query import EntryQuery, StoreState
from crm_core.plugin.unit import Document

RECENT: Final = 5  # entries of each kind
_RECENT, _INVALID = "recent", "invalid"
QUERIES: Final[Mapping[str, EntryQuery]] = {
    _RECENT: EntryQuery(verified=True, limit=RECENT),
    _INVALID: EntryQuery(equals=(("signature_result", "invalid"),), verified=False, limit=RECENT),
    **{status: EntryQuery(equals=(("status", status),), verified=True, limit=1) for status in ACCEPTED},
}
"""The parts of the log that ``summary_of`` needs."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a tenant's store. ``recent`` and ``invalid`` are newest first.

    ``recent``: verified log entries; ``invalid``: unverified ones whose signature does not match; ``last_success``: the
    newest that was accepted. ``sections``: their documents, or what ``StorageContext.digest`` made of these.
    """

    revision: int
    recent: tuple[LogEntry, ...]
    invalid: tuple[LogEntry, ...]
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
        invalid=found[_INVALID],
        last_success=max(accepted, key=lambda entry: entry.seq or 0, default=None),
        sections=sections,
        state=state,
    )

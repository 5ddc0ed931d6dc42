"""Reading the sync log: pages newest first, filters, and all entries of a filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, get_args

import msgspec

from crm_core.errors import InvalidParameter, NotFound
from crm_core.model.ids import is_id
from crm_core.model.log import LogEntry, SignatureResult, Status
from crm_core.model.sources import plain_address
from crm_core.model.times import from_input, to_wire
from crm_core.plugin.storage import EntryQuery, StorageBackend
from crm_core.workspace.cursors import Cursors

FILTERS: Final = (
    "status",
    "payload_type",
    "signature_result",
    "error_code",
    "since",
    "until",
    "source_ip",
    "request_id",
    "nonce",
)
CSV_MEMBERS: Final = tuple(name for name in LogEntry.__struct_fields__ if name != "errors")  # a list fits no cell
MOST: Final = 500
_CHOICES: Final = {"status": get_args(Status), "signature_result": get_args(SignatureResult)}
_PAGE: Final = 500


class SyncLog:
    """The logs of all tenants, for readers."""

    def __init__(self, backend: StorageBackend, cursors: Cursors) -> None:
        self._backend = backend
        self._cursors = cursors

    async def page(
        self, tenant: str, filters: Mapping[str, str], *, limit: int, cursor: str | None
    ) -> tuple[tuple[LogEntry, ...], str | None]:
        """Entries newest first, and the cursor of the next page. Raises InvalidParameter, InvalidCursor."""
        query = query_of(filters)
        context = msgspec.json.encode(["log", tenant, sorted(filters.items())]).decode()
        after = None if cursor is None else self._cursors.read(context, cursor)
        found = await self._backend.entries(tenant, msgspec.structs.replace(query, after=after, limit=limit + 1))
        if len(found) <= limit:
            return found, None
        return found[:limit], self._cursors.make(context, found[limit - 1].id)

    async def every(self, tenant: str, filters: Mapping[str, str]) -> AsyncIterator[LogEntry]:
        """Every entry that the filters select, newest first, read page by page."""
        query = msgspec.structs.replace(query_of(filters), limit=_PAGE)
        while True:
            found = await self._backend.entries(tenant, query)
            for entry in found:
                yield entry
            if len(found) < _PAGE:
                return
            query = msgspec.structs.replace(query, after=found[-1].id)

    async def one(self, tenant: str, entry_id: str) -> LogEntry:
        """One entry. Raises NotFound."""
        if is_id(entry_id):
            found = await self._backend.entries(tenant, EntryQuery(equals=(("id", entry_id),), limit=1))
            if found:
                return found[0]
        raise NotFound("The sync log has no entry with this id. List the log to see its ids.")


def shown(entry: LogEntry) -> dict[str, Any]:
    """An entry as responses show it: exactly the hashed members and the two hashes."""
    shown: dict[str, Any] = msgspec.to_builtins(entry)
    return shown


def query_of(filters: Mapping[str, str]) -> EntryQuery:
    """The query for filters. Raises InvalidParameter."""
    equals: list[tuple[str, str]] = []
    for name, value in filters.items():
        choices = _CHOICES.get(name)
        if choices is not None and value not in choices:
            raise InvalidParameter(f"{name} must be one of {', '.join(choices)}.", parameter=name)
        if name == "source_ip":
            equals.append((name, plain_address(value) or value))
        elif name not in ("since", "until"):
            equals.append((name, value))
    return EntryQuery(
        equals=tuple(equals), since=_moment("since", filters.get("since")), until=_moment("until", filters.get("until"))
    )


def _moment(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return to_wire(from_input(text))
    except ValueError:
        raise InvalidParameter(f"{name} must be a time such as 2026-11-24T02:00:00Z.", parameter=name) from None

"""Commands on the sync log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from crm_core.model.log import Head, LogEntry
from crm_core.plugin.storage import EntryQuery
from crm_core.services import Services
from crm_core.sync.log import query_of, shown

_POLL_SECONDS = 0.5
_BATCH = 500


async def listed(services: Services, tenant: str, filters: dict[str, str], limit: int) -> dict[str, object]:
    """The newest entries of a selection, newest first."""
    items, _ = await services.log.page(tenant, filters, limit=limit, cursor=None)
    return {"items": [shown(entry) for entry in items]}


async def show(services: Services, tenant: str, entry_id: str) -> dict[str, object]:
    """One entry, by its id or by the id of its request. Raises NotFound."""
    await services.views.of(tenant)  # raises UnknownTenant
    matching, _ = await services.log.page(tenant, {"request_id": entry_id}, limit=1, cursor=None)
    return shown(matching[0] if matching else await services.log.one(tenant, entry_id))


async def tail(services: Services, tenant: str, filters: dict[str, str], last: int) -> AsyncIterator[dict[str, object]]:
    """The last entries, oldest first, then each new one while the instance serves."""
    await services.views.of(tenant)  # raises UnknownTenant before the stream begins
    return _followed(services, tenant, query_of(filters), last)


async def _followed(services: Services, tenant: str, query: EntryQuery, last: int) -> AsyncIterator[dict[str, object]]:
    latest = await services.backend.entries(tenant, msgspec.structs.replace(query, limit=last)) if last else ()
    for entry in reversed(latest):
        yield shown(entry)
    seen = latest[0].id if latest else services.ids.new()
    while not services.stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(services.stop.wait(), _POLL_SECONDS)
        for entry in await _after(services, tenant, query, seen):
            seen = entry.id
            yield shown(entry)


async def _after(services: Services, tenant: str, query: EntryQuery, seen: str) -> list[LogEntry]:
    """The entries after the one with the id ``seen``, oldest first."""
    entries: list[LogEntry] = []
    while True:
        page = msgspec.structs.replace(query, limit=_BATCH, after=entries[-1].id if entries else None)
        newer = [entry for entry in await services.backend.entries(tenant, page) if entry.id > seen]
        entries += newer
        if len(newer) < _BATCH:
            return entries[::-1]


async def export(services: Services, tenant: str, filters: dict[str, str]) -> AsyncIterator[dict[str, object]]:
    """Every entry of a selection, newest first."""
    await services.views.of(tenant)
    query_of(filters)
    return _every(services, tenant, filters)


async def _every(services: Services, tenant: str, filters: dict[str, str]) -> AsyncIterator[dict[str, object]]:
    async for entry in services.log.every(tenant, filters):
        yield shown(entry)


async def verify(services: Services, tenant: str, head: str | None) -> dict[str, object]:
    """Walk the stored chain; with ``head`` (SEQ:HASH), also check that this link is in it unchanged.

    A tenant in quarantine never verifies: files that were moved aside are not checked.
    """
    link = None
    if head is not None:
        seq, _, digest = head.partition(":")
        link = Head(int(seq), digest)
    report = await services.backend.verify(tenant, link)
    state = await services.backend.state(tenant)
    lost = [f"{tenant} is in quarantine. {state.reason}"] if state.mode == "quarantined" else []
    return {
        "tenant": tenant,
        "entries": report.entries,
        "anchor": {"seq": report.anchor.seq, "hash": report.anchor.hash},
        "head": {"seq": report.head.seq, "hash": report.head.hash},
        "problems": [*lost, *report.problems],
    }


COMMANDS = {"list": listed, "show": show, "tail": tail, "export": export, "verify": verify}

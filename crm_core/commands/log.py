"""Commands on the sync log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec

from crm_core.model.ids import first_id, made_at
from crm_core.model.log import Head, LogEntry
from crm_core.model.waiting import set_within
from crm_core.plugin.storage import EntryQuery
from crm_core.services import Services
from crm_core.sync.log import query_of, shown

_POLL_SECONDS = 0.5
_LATEST = timedelta(seconds=10)  # until an entry that has its id is stored, or refused
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
    await services.views.of(tenant)  # raises UnknownTenant
    query, newest = query_of(filters), services.ids.new()
    known = {entry.id for entry in await _late(services, tenant, query, newest)}
    latest = await services.backend.entries(tenant, msgspec.structs.replace(query, limit=last)) if last else ()
    known.update(entry.id for entry in latest)
    for entry in reversed(latest):
        yield shown(entry)
    while not services.stop.is_set():
        await set_within(services.stop, _POLL_SECONDS)
        found = await _late(services, tenant, query, newest)
        for entry in found:
            if entry.id not in known:
                yield shown(entry)
        known = {entry.id for entry in found}
        newest = max({newest, *known})  # a text alone would be its greatest character


async def _late(services: Services, tenant: str, query: EntryQuery, newest: str) -> list[LogEntry]:
    """The entries that were not yet stored, or hardly, when the one with the id ``newest`` was made; oldest first.

    With several processes an entry may be stored after another that was made later.
    """
    oldest = first_id(made_at(newest) - _LATEST)
    entries: list[LogEntry] = []
    while True:
        page = msgspec.structs.replace(query, limit=_BATCH, after=entries[-1].id if entries else None)
        late = [entry for entry in await services.backend.entries(tenant, page) if entry.id > oldest]
        entries += late
        if len(late) < _BATCH:
            return entries[::-1]


async def export(services: Services, tenant: str, filters: dict[str, str]) -> AsyncIterator[dict[str, object]]:
    """Every entry of a selection, newest first."""
    await services.views.of(tenant)  # raises UnknownTenant
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

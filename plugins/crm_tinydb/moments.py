"""Reads of an open tenant as of one moment: large copies are made in turns, while batches wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from crm_core.model.turns import Turn
from crm_core.plugin.storage import Document
from crm_tinydb.change_log import ChangeLogView
from crm_tinydb.copies import PART, copied, copied_in_turns, sorted_in_turns
from crm_tinydb.folded import Snapshot, snapshot_in_turns, summarized
from crm_tinydb.log import LogView
from crm_tinydb.tenant import Tenant

_STEP: Final = 200  # documents passed on between two turns


class TenantCopy(NamedTuple):
    """A tenant at one moment."""

    log: LogView
    changes: ChangeLogView
    frozen: Snapshot


async def moment_of(store: Tenant) -> TenantCopy:
    """The tenant as it is now."""
    async with store.group_commit.paused():
        log, changes = store.log_view(), store.change_view()
        return TenantCopy(log, changes, await snapshot_in_turns(store.state, summarized(store.state, 1, log.anchor)))


async def documents_of(store: Tenant, collection: str) -> AsyncIterator[Document]:
    """Every document of a collection, by id."""
    rows = store.state.collection(collection).rows
    if len(rows) <= PART:
        copy = copied(rows)
    else:
        async with store.group_commit.paused():
            copy = await copied_in_turns(rows, Turn())
    for number, (id_, row) in enumerate(await sorted_in_turns(copy), 1):
        yield Document(collection, id_, row[0], row[1])
        if number % _STEP == 0:
            await asyncio.sleep(0)

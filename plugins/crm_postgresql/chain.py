"""The walk over a tenant's chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from crm_core.model.log import Head
from crm_core.plugin.query import ChainReport, ChainWalk
from crm_postgresql.rows import entry_of


async def verify(part: Callable[[int], Awaitable[list[tuple[Any, ...]]]], wanted: Head | None) -> ChainReport:
    """As ``StorageBackend.verify``; ``part`` returns rows of ``crm.chain`` after a link."""
    rows = await part(0)
    newest = Head(*rows[0][2:4])
    walk = ChainWalk(Head(*rows[0][:2]), wanted)
    while rows[0][4] is not None:
        for _, _, _, _, seq, text, prev_hash, entry_hash in rows:
            if seq > newest.seq:  # added during the walk
                break
            walk.add(seq, entry_of(text, prev_hash, entry_hash))
        rows = await part(max(walk.head.seq, rows[-1][4]))
        if rows[0][0] > walk.head.seq:  # the anchor moved past the walk: what is missing has been dropped
            return await verify(part, wanted)
    return walk.report(newest)

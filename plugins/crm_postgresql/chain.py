"""The walk over a tenant's chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from crm_core.model.log import Head, is_intact
from crm_core.plugin.query import ChainReport
from crm_postgresql.rows import entry_of


async def verify(part: Callable[[int], Awaitable[list[tuple[Any, ...]]]], wanted: Head | None) -> ChainReport:
    """As ``StorageBackend.verify``; ``part`` returns rows of ``crm.chain`` after a link."""
    problems: list[str] = []
    rows = await part(0)
    anchor, newest = Head(*rows[0][:2]), Head(*rows[0][2:4])
    head, count, found = anchor, 0, wanted is None or wanted in (anchor, Head())
    while rows[0][4] is not None:
        for _, _, _, _, seq, text, prev_hash, entry_hash in rows:
            if seq > newest.seq:  # added during the walk
                break
            count += 1
            if seq != head.seq + 1:
                problems.append(f"entry {seq} follows entry {head.seq}: entries are missing or out of order")
            elif prev_hash != head.hash:
                problems.append(f"entry {seq} does not continue the hash of entry {head.seq}")
            entry = entry_of(text, prev_hash, entry_hash)
            if entry.seq != seq or not is_intact(entry):
                problems.append(f"entry {seq} was changed: its hash does not match its content")
            head = Head(seq, entry_hash)
            found = found or head == wanted
        rows = await part(max(head.seq, rows[-1][4]))
        if rows[0][0] > head.seq:  # the anchor moved past the walk: what is missing has been dropped
            return await verify(part, wanted)
    if head != newest:
        problems.append(f"the chain ends with entry {head.seq}, the store's newest is {newest.seq}")
    if not found and wanted is not None:
        dropped = " (it is before the oldest retained entry)" if wanted.seq < anchor.seq else ""
        problems.append(f"entry {wanted.seq} with the given hash is not in the chain{dropped}")
    return ChainReport(anchor, head, count, tuple(problems))

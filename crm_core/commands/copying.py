"""Copy all tenants from one storage backend to another while no server runs, checked part by part.

The target is marked as receiving at the start and the source as moved at the end, so an interrupted copy changes
nothing in the source and is resumed by running it again. A store with a mark is not served.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, Literal

import msgspec

from crm_core.errors import SetupError
from crm_core.model.log import LogEntry
from crm_core.plugin.dump import IndexedDocument, Part
from crm_core.plugin.query import StoredChange
from crm_core.plugin.storage import StorageBackend
from crm_core.plugin.unit import Claim, IndexValue

_KINDS: Final = {IndexedDocument: "documents", LogEntry: "entries", Claim: "claims", StoredChange: "changes"}
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class CopyMark(msgspec.Struct, frozen=True):
    """A store's mark: its tenants ``moved`` to the store ``other``, or it is ``receiving`` those of ``other``."""

    state: Literal["moved", "receiving"]
    other: str


async def mark_of(backend: StorageBackend) -> CopyMark | None:
    """The mark of a store. Raises SetupError."""
    text = await backend.mark()
    try:
        return msgspec.json.decode(text, type=CopyMark) if text else None
    except msgspec.MsgspecError:
        raise SetupError([f"the mark of the store {backend.NAME} cannot be read: it is of another version"]) from None


async def refuse_marked(backend: StorageBackend) -> None:
    """Raise SetupError if a store's tenants were moved to another one, or its copy is not complete."""
    mark = await mark_of(backend)
    if mark is None:
        return
    if mark.state == "moved":
        problem = f"the tenants of {backend.NAME} moved to {mark.other}: set storage.backend to {mark.other}"
        problem += ", with its options next to it"
    else:
        problem = f"the copy of {mark.other} to {backend.NAME} is not complete"
        problem += f": set storage.backend to {mark.other} and run crm migrate --to {backend.NAME} again"
    raise SetupError([problem])


class Sum:
    """Counts and the hash of the parts of a dump."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self._hash = hashlib.sha256()

    async def over(self, parts: AsyncIterator[Part]) -> AsyncIterator[Part]:
        """Yield the same parts and add them up."""
        async for part in parts:
            self._hash.update(_encode(_comparable(part)) + b"\n")
            self.counts[_KINDS.get(type(part), "tenants")] += 1
            yield part

    @property
    def value(self) -> tuple[Counter[str], bytes]:
        """The counts and the hash, to be compared."""
        return self.counts, self._hash.digest()


def _comparable(part: Part) -> Part:
    """The part without the differences between equal index values: repeated texts of a tuple, a tuple of one."""
    if not isinstance(part, IndexedDocument):
        return part
    indexes: dict[str, IndexValue] = {}
    for name, value in part.indexes.items():
        texts = tuple(dict.fromkeys(value)) if isinstance(value, tuple) else ()
        indexes[name] = texts[0] if len(texts) == 1 else texts or value
    return msgspec.structs.replace(part, indexes=indexes)


async def sum_of(backend: StorageBackend, tenant: str) -> Sum:
    """Count and hash all of a tenant."""
    total = Sum()
    async with aclosing(backend.dump(tenant)) as parts:
        async for _ in total.over(parts):
            pass
    return total


async def copy_all(source: StorageBackend, target: StorageBackend) -> AsyncIterator[dict[str, Any]]:
    """Copy every tenant; yield the counts of its parts once both stores have the same.

    Raises SetupError: for a target with other data before anything is changed, and for a damaged tenant of the source.
    """
    await _prepare(source, target)
    names = await source.tenants()
    for tenant in set(await target.tenants()).difference(names):  # removed since an earlier run copied it
        await target.remove(tenant)
    for tenant in names:
        counts = await _copy(source, target, tenant)
        yield {"tenant": tenant, "of": len(names), "counts": counts}
    await _refuse_served(source, target)
    if not source.EXCLUSIVE:  # a server or a command may have run for a moment
        if await source.tenants() != names:
            raise SetupError([f"{source.NAME} has other tenants since the copy began: run the command again"])
        for tenant in names:
            if (await source.view(tenant, None)).seq != (await target.view(tenant, None)).seq:
                raise SetupError([f"{tenant} has changed since it was copied: run the command again"])
    await source.set_mark(_encode(CopyMark("moved", target.NAME)))
    await target.set_mark(b"")


async def _prepare(source: StorageBackend, target: StorageBackend) -> None:
    """Make the target ready to receive. Raises SetupError."""
    await target.migrate()
    mark, moved = await mark_of(target), await mark_of(source)
    await _refuse_served(source, target)
    if moved is not None and not (
        moved == CopyMark("moved", target.NAME) and mark == CopyMark("receiving", source.NAME)
    ):
        await refuse_marked(source)
    tenants = await target.tenants()
    if mark is not None and mark.state == "moved":
        for tenant in tenants:
            await target.remove(tenant)
    elif tenants and not (mark == CopyMark("receiving", source.NAME) and await _begun_from(source, target, tenants)):
        raise SetupError(
            [f"{target.NAME} has tenants that are not a copy of these ({tenants[0]}, ...): give it an empty store"]
        )
    await target.set_mark(_encode(CopyMark("receiving", source.NAME)))


async def _refuse_served(*stores: StorageBackend) -> None:
    """Raise SetupError if a server uses the stores. The caller has the lock of an exclusive one."""
    for store in stores:
        if number := len(await store.alive("", 0)):
            who = "1 process serves" if number == 1 else f"{number} processes serve"
            raise SetupError([f"{who} {store.NAME}: stop all first; one that was killed counts for 15 seconds"])


async def _begun_from(source: StorageBackend, target: StorageBackend, tenants: list[str]) -> bool:
    """Whether the tenants of an interrupted copy came from this source, by the epochs of their change logs."""
    common = [tenant for tenant in tenants if await source.has(tenant)]
    epochs = [[(await backend.changes(tenant, None)).epoch for tenant in common] for backend in (source, target)]
    return bool(common) and epochs[0] == epochs[1]


async def _copy(source: StorageBackend, target: StorageBackend, tenant: str) -> Counter[str]:
    """Copy a tenant unless the target has the same, and return the counts of its parts. Raises SetupError."""
    state = await source.state(tenant)
    if state.mode == "quarantined":  # or a part would pass for all of it
        raise SetupError([f"{tenant} is damaged: restore it, or accept the rest, then continue. {state.reason}"])
    if await target.has(tenant):
        before, after = await sum_of(source, tenant), await sum_of(target, tenant)
        if before.value == after.value:
            return before.counts
        await target.remove(tenant)
    copied = Sum()
    async with aclosing(source.dump(tenant)) as parts:
        await target.load(tenant, copied.over(parts))
    if copied.value != (await sum_of(target, tenant)).value:
        raise SetupError([f"{tenant} is not the same in {target.NAME} as in {source.NAME}: run the command again"])
    await _verify(source, target, tenant)
    return copied.counts


async def _verify(source: StorageBackend, target: StorageBackend, tenant: str) -> None:
    """Walk the chain in both stores. Raises SetupError if they differ."""
    first, second = await source.verify(tenant), await target.verify(tenant)
    same = (first.anchor, first.head, first.entries) == (second.anchor, second.head, second.entries)
    if not same or bool(first.problems) != bool(second.problems):
        why = next(iter(second.problems), f"it ends at entry {second.head.seq}, not {first.head.seq}")
        raise SetupError([f"the log of {tenant} in {target.NAME} is not that of {source.NAME}: {why}"])

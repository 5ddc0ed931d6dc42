"""Actions of a store while something fails, and the checks afterwards.

``unit(1)`` to ``unit(PREPARED)`` are in the tenant ``north`` before; each action is tried once, then another unit must
be committed, whether or not the action was.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from crm_core.errors import SetupError, StorageFull, StorageUnavailable
from crm_core.plugin.storage import Committed, Unit
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import consistent_state, unit

PREPARED = 6
EARLIER, COPY, TRIED = "earlier", "copy", "tried"
_FILES = re.compile(
    r"identity|summary|unverified\.log|previous|journal-\d{8}\.log|store-\d{8}\.json|log-\d{10}-\d{10}\.seg"
    r"|changes-\d{10}-\d{10}-\d{8}\.seg"
)
_HIDDEN = "unfinished line"  # doctor mentions what a crash cut off, which is no fault
REFUSALS = (StorageUnavailable, StorageFull, SetupError)
Act = Callable[[TinyDBBackend, Path], Awaitable[object]]


async def prepare(store: TinyDBBackend, scratch: Path) -> None:
    """A tenant with a folded part, a journal and unverified attempts, another tenant, and a backup."""
    await store.create("north")
    await store.create("south")
    await store.commit("south", unit(1))
    for number in range(1, PREPARED + 1):
        await store.commit("north", unit(number))
        if number == PREPARED // 2:
            await store.fold("north")
    await store.backup("north", scratch / EARLIER)


async def _commit(store: TinyDBBackend, _scratch: Path) -> None:
    assert isinstance(await store.commit("north", unit(PREPARED + 1)), Committed)


async def _fold(store: TinyDBBackend, _scratch: Path) -> None:
    await store.fold("north")


async def _back_up(store: TinyDBBackend, scratch: Path) -> None:
    await store.backup("north", scratch / COPY)


async def _restore(store: TinyDBBackend, scratch: Path) -> None:
    await store.restore("east", scratch / EARLIER)


async def _create(store: TinyDBBackend, _scratch: Path) -> None:
    await store.create("east")


ACTIONS: dict[str, Act] = {
    "commit": _commit, "fold": _fold, "backup": _back_up, "restore": _restore, "create": _create,
}  # fmt: skip


async def attempt(store: TinyDBBackend, name: str, scratch: Path) -> str:
    """Try an action; ``done``, or the type of the refusal. Any other error is a fault of the store."""
    try:
        await ACTIONS[name](store, scratch)
    except REFUSALS as error:
        return type(error).__name__
    return "done"


async def resume(store: TinyDBBackend, seq: int) -> int:
    """Commit the unit after ``seq`` as soon as the store takes it; return its number."""
    waiting = [("north", unit(seq + 1)), ("south", Unit(now=1))]
    async with asyncio.timeout(20):
        while waiting:
            try:
                assert isinstance(await store.commit(*waiting[0]), Committed)
                del waiting[0]
            except (StorageUnavailable, StorageFull):
                await asyncio.sleep(0.05)
    return seq + 1


async def faults(store: TinyDBBackend, name: str, outcome: str, *, seqs: tuple[int, ...], scratch: Path) -> list[str]:
    """The differences from what a restart after an action must show. ``seqs``: how many units there may be."""
    found = []
    tenants = await store.tenants()
    if not {"north", "south"} <= set(tenants) <= {"north", "south", "east"}:
        found.append(f"the tenants are {tenants}")
    for tenant in tenants:
        state = await store.state(tenant)
        found += [] if state.mode == "ok" else [f"{tenant} is {state.mode}: {state.reason}"]
        found += [f"{tenant}: {problem}" for problem in await store.check(tenant) if _HIDDEN not in problem]
    if not found and (seq := (await consistent_state(store))[0]) not in seqs:
        found.append(f"{seq} units are stored, not {' or '.join(map(str, seqs))}")
    if name in ("create", "restore"):
        found += await _east(store, name, needed=outcome == "done")
    if name == "backup":
        found += await _copy(store, scratch, needed=outcome == "done")
    return found


async def _east(store: TinyDBBackend, name: str, *, needed: bool) -> list[str]:
    if not await store.has("east"):
        return ["the tenant that was made is gone"] if needed else []
    seq = (await store.view("east", None)).seq
    return [] if seq == (PREPARED if name == "restore" else 0) else [f"the tenant that was made has {seq} units"]


async def _copy(store: TinyDBBackend, scratch: Path, *, needed: bool) -> list[str]:
    try:
        await store.restore(TRIED, scratch / COPY)
    except SetupError as error:
        return [f"the backup cannot be restored: {error}"] if needed or "no such file" not in str(error).lower() else []
    return []


def leftovers(tenants: dict[str, list[str]], scratch: list[str]) -> list[str]:
    """Files that no one will remove: ``tenants`` has the names in each tenant's folder, ``scratch`` the backups."""
    stray = [f"{tenant}/{name}" for tenant, names in tenants.items() for name in names if not _FILES.fullmatch(name)]
    stray += [tenant for tenant in tenants if tenant.startswith(".new-")]
    stray += [name for name in scratch if name not in (EARLIER, COPY)]
    return [f"{each} was left behind" for each in stray]

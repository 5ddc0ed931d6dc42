"""Commits of units: those of a tenant that wait in this process are committed together, in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import psycopg
from psycopg_pool import PoolTimeout

from crm_core.errors import StorageUnavailable
from crm_core.plugin.unit import Committed, Conflict, OutcomeUnknown, Unit
from crm_postgresql.database import Database, TooSlow, is_broken, refusal
from crm_postgresql.limits import STATEMENT_SECONDS
from crm_postgresql.units import encoded, outcomes

_TOGETHER = 64  # units of a statement
_LARGE, _LARGE_SECONDS = 1 << 17, 30.0  # bytes of units that may take longer
_COMMIT = "SELECT crm.commit(%s, %s)"
_TRIES = 4

Outcome = Committed | Conflict
_Waiting = tuple[Unit, "asyncio.Future[Outcome]"]


class Commits:
    """The queue of each tenant. ``committed`` is called with the tenant and its seq after a commit."""

    def __init__(self, database: Database, committed: Callable[[str, int], None]) -> None:
        self._database, self._committed = database, committed
        self._queues: dict[str, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def commit(self, tenant: str, unit: Unit) -> Outcome:
        """Commit a unit. Raises StorageUnavailable, StorageFull, UnknownTenant, OutcomeUnknown, ValueError."""
        encoded([unit])  # a unit that cannot be stored fails alone
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = deque()
            task = asyncio.create_task(self._run(tenant, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.append((unit, done))
        return await done

    async def close(self) -> None:
        """Wait until every queue is empty."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, tenant: str, queue: deque[_Waiting]) -> None:
        try:
            await asyncio.sleep(0)  # what arrives in this turn is committed together
            while queue:
                some = [queue.popleft() for _ in range(min(len(queue), _TOGETHER))]
                await self._settle(tenant, some)
        finally:
            del self._queues[tenant]

    async def _settle(self, tenant: str, some: list[_Waiting]) -> None:
        units = [unit for unit, _ in some]
        try:
            found = await self._together(tenant, units)
        except Exception as error:  # noqa: BLE001 -- passed on to the callers
            if len(some) > 1 and not isinstance(error, OutcomeUnknown | StorageUnavailable):
                for one in some:  # the fault of one must not fail the others
                    await self._settle(tenant, [one])
                return
            for _, done in some:
                if not done.done():
                    done.set_exception(error)
            return
        seqs = [outcome.seq for outcome in found if isinstance(outcome, Committed)]
        if seqs:
            self._committed(tenant, max(seqs))
        for (_, done), outcome in zip(some, found, strict=True):
            if not done.done():
                done.set_result(outcome)

    async def _together(self, tenant: str, units: list[Unit]) -> list[Outcome]:
        text = encoded(units)
        for attempt in range(_TRIES):
            try:
                seconds = STATEMENT_SECONDS if len(text) < _LARGE else _LARGE_SECONDS
                rows = await self._database.statement(_COMMIT, (tenant, text), seconds)
            except PoolTimeout:
                raise StorageUnavailable("The database does not answer.", retry_after=2) from None
            except TooSlow:
                raise OutcomeUnknown from None
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
                if attempt == _TRIES - 1:
                    raise refusal(error) from None
            except psycopg.Error as error:
                if is_broken(error):
                    raise OutcomeUnknown from None  # the connection broke after the statement was sent
                raise refusal(error) from None
            else:
                return outcomes(units, rows[0][0])
        raise AssertionError("the last try returns or raises")

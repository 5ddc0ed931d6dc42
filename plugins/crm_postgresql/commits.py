"""Commits of units: those of a tenant that wait in this process are committed together, in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import psycopg
from psycopg_pool import PoolTimeout

from crm_core.errors import StorageUnavailable
from crm_core.plugin.unit import Committed, Conflict, OutcomeUnknown, Unit
from crm_postgresql.database import Database, first_line, is_broken, refusal
from crm_postgresql.limits import COMMIT_SECONDS
from crm_postgresql.units import EncodedUnit, encoded, lists, outcomes
from crm_postgresql.wire import TooSlow

_TOGETHER = 64  # units of a statement
_LEAST = 0.3  # seconds that a commit needs
_ALONE = "SELECT crm.commit(%s, %s)"
_SEVERAL = "SELECT crm.commit_together(%s, %s)"
_TRIES = 4

Outcome = Committed | Conflict


class _Waiting(NamedTuple):
    """A unit in the queue. ``end``: until when it may take, by the loop's clock."""

    unit: Unit
    encoded: EncodedUnit
    done: asyncio.Future[Outcome]
    end: float


class Commits:
    """The queue of each tenant. ``committed`` is called with the tenant after a commit."""

    def __init__(self, database: Database, committed: Callable[[str], None]) -> None:
        self._database, self._committed = database, committed
        self._queues: dict[str, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def commit(self, tenant: str, unit: Unit) -> Outcome:
        """Commit a unit. Raises StorageUnavailable, StorageFull, UnknownTenant, OutcomeUnknown, ValueError."""
        text = encoded(unit)  # one that cannot be stored fails alone
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = deque()
            task = asyncio.create_task(self._run(tenant, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.append(_Waiting(unit, text, done, loop.time() + COMMIT_SECONDS))
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
        try:
            found = await self._together(tenant, some)
        except Exception as error:  # noqa: BLE001 -- passed on to the callers
            if len(some) > 1 and not isinstance(error, OutcomeUnknown | StorageUnavailable):
                for one in some:  # the fault of one must not fail the others
                    await self._settle(tenant, [one])
                return
            if isinstance(error, OutcomeUnknown):
                self._committed(tenant)  # most likely: who waits looks
            for each in some:
                if not each.done.done():
                    each.done.set_exception(error)
            return
        if any(isinstance(outcome, Committed) for outcome in found):
            self._committed(tenant)
        for each, outcome in zip(some, found, strict=True):
            if not each.done.done():
                each.done.set_result(outcome)

    async def _together(self, tenant: str, some: list[_Waiting]) -> list[Outcome]:
        end = min(each.end for each in some)
        if end - asyncio.get_running_loop().time() < _LEAST:  # those before it took its time; it was not sent
            raise StorageUnavailable("The database does not answer.", retry_after=2)
        if len(some) == 1:
            query, text = _ALONE, some[0].encoded.text
        else:
            query, text = _SEVERAL, lists(each.encoded for each in some)
        for attempt in range(_TRIES):
            try:
                rows = await self._database.statement(query, (tenant, text), end)
            except PoolTimeout:
                raise StorageUnavailable("The database does not answer.", retry_after=2) from None
            except TooSlow:
                raise OutcomeUnknown from None
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
                if attempt == _TRIES - 1:
                    raise refusal(error) from None
            except psycopg.DataError as error:  # of a unit that cannot be stored: the fault of no other one
                raise ValueError(first_line(error)) from None
            except psycopg.Error as error:
                if is_broken(error):
                    raise OutcomeUnknown from None  # the connection broke after the statement was sent
                raise refusal(error) from None
            else:
                return outcomes([each.unit for each in some], rows[0][0])
        raise AssertionError("the last try returns or raises")

"""Reads of documents by id and of the store's counters: those of a tenant that wait in this process go together."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from crm_core.plugin.storage import Document, Read
from crm_postgresql.database import Database
from crm_postgresql.limits import READ_SECONDS

_TOGETHER = 200
_READ = "SELECT * FROM crm.read(%s, %s, %s)"
_Place = tuple[str, str]  # collection and id


class Counters(NamedTuple):
    """The counters of a tenant's store."""

    revision: int
    seq: int
    head_seq: int
    head_hash: str


_Found = tuple[Counters, Document | None]
_Waiting = dict[_Place | None, list["asyncio.Future[_Found]"]]


class Reads:
    """The queue of each tenant. A read is sent after it was asked for: it sees all that was answered before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[str, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, tenant: str, collection: str, id_: str) -> Read:
        """A document. Raises as ``Database.rows``."""
        counters, document = await self._ask(tenant, (collection, id_))
        return Read(document, counters.revision)

    async def counters(self, tenant: str) -> Counters:
        """The counters now. Raises as ``Database.rows``."""
        return (await self._ask(tenant, None))[0]

    def _ask(self, tenant: str, place: _Place | None) -> asyncio.Future[_Found]:
        done: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = {}
            task = asyncio.create_task(self._run(tenant, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.setdefault(place, []).append(done)
        return done

    async def _run(self, tenant: str, queue: _Waiting) -> None:
        try:
            while queue:
                some = {place: queue.pop(place) for place in list(queue)[:_TOGETHER]}
                await self._settle(tenant, some)
        finally:
            del self._queues[tenant]

    async def _settle(self, tenant: str, some: _Waiting) -> None:
        places = [place for place in some if place is not None]
        try:
            arguments = tenant, [collection for collection, _ in places], [id_ for _, id_ in places]
            rows = await self._database.rows(_READ, arguments, READ_SECONDS)
        except Exception as error:  # noqa: BLE001 -- passed on to the callers
            for waiting in some.values():
                for done in waiting:
                    if not done.done():
                        done.set_exception(error)
            return
        counters = Counters(*rows[0][1:])
        found: dict[Any, Document] = {}
        for at, revision, _, _, body in rows[1:]:
            place = places[at - 1]
            found[place] = Document(place[0], place[1], revision, body.encode())
        for wanted, waiting in some.items():
            for done in waiting:
                if not done.done():
                    done.set_result((counters, found.get(wanted)))

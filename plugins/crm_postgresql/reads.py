"""Reads by id and of the workspace: those of a tenant that wait in this process are one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from crm_core.model.log import Head
from crm_core.plugin.storage import Document, Read, View
from crm_postgresql.database import Database
from crm_postgresql.limits import READ_SECONDS

_TOGETHER = 200
_READ = "SELECT crm.read(%s, %s, %s, %s, %s, %s)"
_Place = tuple[str, str]  # collection and id, or kind and key of a claim


class _Rows(msgspec.Struct, frozen=True, array_like=True):
    """The result of ``crm.read``; ``sections`` is null if every caller has seen this revision."""

    epoch: str
    revision: int
    seq: int
    head: Head
    documents: list[tuple[int, int, msgspec.Raw]]  # place from 1, revision, body
    claims: list[tuple[int, str]]  # place from 1, evidence
    sections: list[tuple[str, int, msgspec.Raw]] | None  # id, revision, body


_rows = msgspec.json.Decoder(_Rows)


class StoreMoment(NamedTuple):
    """A state of a tenant: each unit leads to another one."""

    epoch: str
    seq: int


class Found(NamedTuple):
    """A tenant at one moment, as far as someone asked."""

    moment: StoreMoment
    revision: int
    head: Head
    documents: dict[_Place, Document]
    claims: dict[_Place, bytes]
    sections: tuple[Document, ...] | None


class _Asked(NamedTuple):
    done: asyncio.Future[Found]
    document: _Place | None
    claims: Sequence[_Place]
    seen: int | None


class Reads:
    """The queue of each tenant. A read is sent after it was asked for: it sees all that was answered before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[str, list[_Asked]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, tenant: str, collection: str, id_: str) -> Read:
        """A document. Raises as ``Database.rows``."""
        place = collection, id_
        found = await self._ask(tenant, document=place)
        return Read(found.documents.get(place), found.revision, found.moment.epoch)

    async def view(self, tenant: str, seen: int | None, claims: Sequence[_Place]) -> tuple[View, list[bytes | None]]:
        """The workspace and the evidence of claims. Raises as ``Database.rows``."""
        found = await self._ask(tenant, claims=claims, seen=-1 if seen is None else seen)
        sections = None if found.revision == seen else found.sections
        view = View(found.revision, found.moment.seq, found.head, sections, found.moment.epoch)
        return view, [found.claims.get(each) for each in claims]

    async def claim(self, tenant: str, kind: str, key: str) -> bytes | None:
        """The evidence of a claim. Raises as ``Database.rows``."""
        place = kind, key
        return (await self._ask(tenant, claims=(place,))).claims.get(place)

    async def moment(self, tenant: str) -> StoreMoment:
        """The present moment. Raises as ``Database.rows``."""
        return (await self._ask(tenant)).moment

    def _ask(
        self, tenant: str, document: _Place | None = None, claims: Sequence[_Place] = (), seen: int | None = None
    ) -> asyncio.Future[Found]:
        done: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = []
            task = asyncio.create_task(self._run(tenant, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.append(_Asked(done, document, claims, seen))
        return done

    async def _run(self, tenant: str, queue: list[_Asked]) -> None:
        try:
            while queue:
                some = queue[:_TOGETHER]
                del queue[:_TOGETHER]
                await self._settle(tenant, some)
        finally:
            del self._queues[tenant]

    async def _settle(self, tenant: str, some: list[_Asked]) -> None:
        try:
            found = await self._read(tenant, some)
        except Exception as error:  # noqa: BLE001 -- passed on to the callers
            for each in some:
                if not each.done.done():
                    each.done.set_exception(error)
            return
        for each in some:
            if not each.done.done():
                each.done.set_result(found)

    async def _read(self, tenant: str, some: list[_Asked]) -> Found:
        places = list(dict.fromkeys(each.document for each in some if each.document is not None))
        claims = list(dict.fromkeys(claim for each in some for claim in each.claims))
        seen = {each.seen for each in some if each.seen is not None}
        arguments = tenant, *_columns(places), *_columns(claims), [str(each) for each in seen]
        rows = _rows.decode((await self._database.rows(_READ, arguments, READ_SECONDS))[0][0])
        return Found(
            StoreMoment(rows.epoch, rows.seq),
            rows.revision,
            rows.head,
            {places[at - 1]: Document(*places[at - 1], of, bytes(body)) for at, of, body in rows.documents},
            {claims[at - 1]: evidence.encode() for at, evidence in rows.claims},
            None
            if rows.sections is None
            else tuple(Document("sections", id_, of, bytes(body)) for id_, of, body in rows.sections),
        )


def _columns(places: list[_Place]) -> tuple[list[str], list[str]]:
    return [first for first, _ in places], [second for _, second in places]

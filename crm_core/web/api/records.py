"""The routes of records: list, detail, create, update, put and batch for every record type."""

from __future__ import annotations

from collections.abc import Awaitable
from urllib.parse import parse_qsl, urlencode

from crm_core.records import export
from crm_core.records.batch import Batch
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.idempotency import IdempotentRequest, ReplayedRefusal, WriteResult, idempotent_request
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import Shape, etag
from crm_core.services import Services
from crm_core.web.answers import CSV, JSON, NDJSON, PRIVATE, Answer, answer, empty, streamed, tagged
from crm_core.web.api import records_life as life
from crm_core.web.api import records_schemas as schemas
from crm_core.web.api.records_types import documented_types
from crm_core.web.operations import Route, base_of
from crm_core.web.problems import problem
from crm_core.web.reading import accepted, flag, read_json, read_json_and_bytes, read_values, whole_number
from crm_core.web.request import Request


def routes(services: Services) -> list[Route]:
    """Every operation of every record type."""
    return [one for shape in services.records.shapes.values() for one in _routes(_Handlers(services, shape), shape)]


def _routes(handlers: _Handlers, shape: Shape) -> list[Route]:
    types = documented_types(shape)
    return [
        Route(schemas.list_operation(shape, types), handlers.listed),
        Route(schemas.create_operation(shape, types), handlers.create),
        Route(schemas.detail_operation(shape, types), handlers.detail),
        Route(schemas.update_operation(shape, types), handlers.update),
        Route(schemas.put_operation(shape, types), handlers.put),
        Route(schemas.batch_operation(shape, types), handlers.batch),
        Route(life.archive_operation(shape), handlers.archive),
        Route(life.restore_operation(shape, types), handlers.restore),
        Route(life.history_operation(shape), handlers.history),
        Route(life.erase_operation(shape), handlers.erase),
    ]


class _Handlers:
    """The answers to requests for records of one type."""

    def __init__(self, services: Services, shape: Shape) -> None:
        self._records, self._shape, self._callers = services.records, shape, services.callers

    def _access(self, request: Request) -> RecordAccess:
        return RecordAccess(request.tenant, request.caller, self._shape, request.request_id)

    async def listed(self, request: Request) -> Answer:
        kind, parameters = accepted(request, (JSON, NDJSON, CSV)), read_values(request, self._shape.filterable)
        bom = flag(request.query, "bom")
        if kind != JSON:
            pages = await self._records.reads.export(self._access(request), parameters, self._callers.current)
            lines = export.as_ndjson(pages) if kind == NDJSON else export.as_csv(self._shape, pages, bom=bom)
            return streamed(lines, kind)
        page = await self._records.reads.list(self._access(request), parameters)
        if page.next_cursor is None:
            return answer(page.body)
        return answer(page.body, headers={"Link": f'<{_following(request, page.next_cursor)}>; rel="next"'})

    async def detail(self, request: Request) -> Answer:
        document = await self._records.reads.detail(self._access(request), request.path_parameters["id"])
        return tagged(request, document.body, etag(document.revision, document.body), PRIVATE)

    async def create(self, request: Request) -> Answer:
        access = self._access(request)
        data, raw = await read_json_and_bytes(request)
        return await self._answered(request, self._records.writes.create(access, data, _idempotent(request, raw)))

    async def update(self, request: Request) -> Answer:
        access, id_ = self._access(request), request.path_parameters["id"]
        data, raw = await read_json_and_bytes(request)
        writing = self._records.writes.update(access, id_, data, _conditions(request), _idempotent(request, raw))
        return await self._answered(request, writing)

    async def put(self, request: Request) -> Answer:
        access, data = self._access(request), await read_json(request)
        external_id = request.path_parameters["external_id"]
        return await self._answered(request, self._records.writes.put(access, external_id, data, _conditions(request)))

    async def batch(self, request: Request) -> Answer:
        access, atomic = self._access(request), flag(request.query, "atomic")
        data, raw = await read_json_and_bytes(request)
        asked = Batch(
            data=data,
            atomic=atomic,
            request_id=request.request_id,
            instance=request.instance,
            idempotent=_idempotent(request, raw),
        )
        return await self._answered(request, self._records.batches.run(access, asked))

    async def archive(self, request: Request) -> Answer:
        await self._records.archive.archive(self._access(request), request.path_parameters["id"], _conditions(request))
        return empty(204, {"Cache-Control": "no-store"})

    async def history(self, request: Request) -> Answer:
        limit = whole_number("limit", request.query.get("limit"), default=50, most=200)
        cursor = request.query.get("cursor")
        page = await self._records.feed.history(self._access(request), request.path_parameters["id"], limit, cursor)
        return answer(page.body)

    async def restore(self, request: Request) -> Answer:
        access, id_ = self._access(request), request.path_parameters["id"]
        restoring = self._records.archive.restore(access, id_, _conditions(request), _idempotent(request, b""))
        return await self._answered(request, restoring)

    async def erase(self, request: Request) -> Answer:
        cascade, id_ = flag(request.query, "cascade"), request.path_parameters["id"]
        await self._records.erasure.erase(self._access(request), id_, _conditions(request), cascade=cascade)
        return empty(204, {"Cache-Control": "no-store"})

    async def _answered(self, request: Request, writing: Awaitable[WriteResult]) -> Answer:
        """The answer to a write: the record with its tag and, if it is new, its address."""
        try:
            written = await writing
        except ReplayedRefusal as replayed:
            return problem(replayed.error, request).adding("Idempotent-Replayed", "true")
        headers = {}
        if written.id:
            headers["ETag"] = etag(written.revision, written.body)
        if written.status == 201:
            headers["Location"] = f"{base_of(request)}/{self._shape.name}/{written.id}"
        if written.replayed:
            headers["Idempotent-Replayed"] = "true"
        return answer(written.body, written.status, headers)


def _following(request: Request, cursor: str) -> str:
    """The address of the next page: this one's with the cursor in it."""
    if "cursor" in request.query:
        others = [
            each
            for each in parse_qsl(request.query_string.decode("ascii"), keep_blank_values=True)
            if each[0] != "cursor"
        ]
        return f"{request.path}?{urlencode([*others, ('cursor', cursor)])}"
    query = request.query_string.decode("ascii").replace(">", "%3E")
    return f"{request.path}?{query}{'&' if query else ''}cursor={cursor}"


def _conditions(request: Request) -> Preconditions:
    return Preconditions(request.joined_field(b"if-match"), request.joined_field(b"if-none-match"))


def _idempotent(request: Request, raw: bytes) -> IdempotentRequest | None:
    key = request.single_field("Idempotency-Key")
    if key is None:
        return None
    return idempotent_request(key, request.caller, request.path, b"%b\n%b" % (request.query_string, raw))

"""The routes of records: list, detail, create, update, put and batch for every record type."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final
from urllib.parse import parse_qsl, urlencode

from crm_core.records import export
from crm_core.records.batch import Batch
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.idempotency import IdempotentRequest, ReplayedRefusal, WriteResult, idempotent_request
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import Shape, etag
from crm_core.services import Services
from crm_core.web.answers import CSV, JSON, NDJSON, Answer, answer, empty, streamed, tagged
from crm_core.web.api import records_life as life
from crm_core.web.api import records_schemas as schemas
from crm_core.web.api.records_types import documented_types
from crm_core.web.operations import Route, base_of
from crm_core.web.problems import problem
from crm_core.web.reading import accepted, flag, read_json, read_json_and_bytes, read_values, whole_number
from crm_core.web.request import Request

_CACHING: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}


def routes(services: Services) -> list[Route]:
    """Every operation of every record type."""
    return [one for shape in services.records.shapes.values() for one in _routes(services, shape)]


def _routes(services: Services, shape: Shape) -> list[Route]:
    records, types = services.records, documented_types(shape)

    def access_of(request: Request) -> RecordAccess:
        return RecordAccess(request.tenant, request.caller, shape, request.request_id)

    async def listed(request: Request) -> Answer:
        kind, parameters = accepted(request, (JSON, NDJSON, CSV)), read_values(request, shape.filterable)
        bom = flag("bom", request.query.get("bom"))
        if kind != JSON:
            pages = await records.reads.export(access_of(request), parameters)
            return streamed(export.as_ndjson(pages) if kind == NDJSON else export.as_csv(shape, pages, bom=bom), kind)
        page = await records.reads.list(access_of(request), parameters)
        if page.next_cursor is None:
            return answer(page.body)
        return answer(page.body, headers={"Link": f'<{_following(request, page.next_cursor)}>; rel="next"'})

    async def detail(request: Request) -> Answer:
        document = await records.reads.detail(access_of(request), request.path_parameters["id"])
        return tagged(request, document.body, etag(document.revision, document.body), _CACHING)

    async def create(request: Request) -> Answer:
        access = access_of(request)
        data, raw = await read_json_and_bytes(request)
        return await _answered(request, shape, records.writes.create(access, data, _idempotent(request, raw)))

    async def update(request: Request) -> Answer:
        access, id_ = access_of(request), request.path_parameters["id"]
        data, raw = await read_json_and_bytes(request)
        writing = records.writes.update(access, id_, data, _conditions(request), _idempotent(request, raw))
        return await _answered(request, shape, writing)

    async def put(request: Request) -> Answer:
        access, data = access_of(request), await read_json(request)
        external_id = request.path_parameters["external_id"]
        return await _answered(request, shape, records.writes.put(access, external_id, data, _conditions(request)))

    async def batch(request: Request) -> Answer:
        access, atomic = access_of(request), flag("atomic", request.query.get("atomic"))
        data, raw = await read_json_and_bytes(request)
        asked = Batch(
            data=data,
            atomic=atomic,
            request_id=request.request_id,
            instance=request.instance,
            idempotent=_idempotent(request, raw),
        )
        return await _answered(request, shape, records.batches.run(access, asked))

    async def archive(request: Request) -> Answer:
        await records.archive.archive(access_of(request), request.path_parameters["id"], _conditions(request))
        return empty(204, {"Cache-Control": "no-store"})

    async def history(request: Request) -> Answer:
        limit = whole_number("limit", request.query.get("limit"), default=50, most=200)
        cursor = request.query.get("cursor")
        page = await records.feed.history(access_of(request), request.path_parameters["id"], limit, cursor)
        return answer(page.body)

    async def restore(request: Request) -> Answer:
        restoring = records.archive.restore(access_of(request), request.path_parameters["id"], _conditions(request))
        return await _answered(request, shape, restoring)

    async def erase(request: Request) -> Answer:
        cascade, id_ = flag("cascade", request.query.get("cascade")), request.path_parameters["id"]
        await records.erasure.erase(access_of(request), id_, _conditions(request), cascade=cascade)
        return empty(204, {"Cache-Control": "no-store"})

    return [
        Route(schemas.list_operation(shape, types), listed),
        Route(schemas.create_operation(shape, types), create),
        Route(schemas.detail_operation(shape, types), detail),
        Route(schemas.update_operation(shape, types), update),
        Route(schemas.put_operation(shape, types), put),
        Route(schemas.batch_operation(shape, types), batch),
        Route(life.archive_operation(shape), archive),
        Route(life.restore_operation(shape, types), restore),
        Route(life.history_operation(shape), history),
        Route(life.erase_operation(shape), erase),
    ]


async def _answered(request: Request, shape: Shape, writing: Awaitable[WriteResult]) -> Answer:
    """The answer to a write: the record with its tag and, if it is new, its address."""
    try:
        written = await writing
    except ReplayedRefusal as replayed:
        return problem(replayed.error, request).adding("Idempotent-Replayed", "true")
    headers = {}
    if written.id:
        headers["ETag"] = etag(written.revision, written.body)
    if written.status == 201:
        headers["Location"] = f"{base_of(request)}/{shape.name}/{written.id}"
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
    return idempotent_request(key, request.caller, request.path, b"%b\n%b" % (request.query_string, raw))

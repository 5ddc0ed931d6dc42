"""The routes of records: for every record type that the plugins brought list, detail, create, update, put, batch."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlencode

from quart import Response, request

from crm_core.errors import InvalidParameter, NotAcceptable
from crm_core.model.strict_json import loads
from crm_core.records import export
from crm_core.records.batch import Batch
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.idempotency import IdempotentRequest, ReplayedRefusal, WriteResult, idempotent_request
from crm_core.records.list_query import known_parameters
from crm_core.records.shape import Shape, etag
from crm_core.services import Services
from crm_core.web.answers import JSON, answer, tagged
from crm_core.web.api import records_schemas as schemas
from crm_core.web.callers import caller_of
from crm_core.web.exchange import exchange
from crm_core.web.operations import BASE, Operation
from crm_core.web.problems import problem
from crm_core.web.reading import fields, parameters, read_body, require_media_type
from crm_core.web.records_types import documented_types
from crm_core.web.streams import CSV, NDJSON

RECORD_LIMIT: Final = 256 * 1024
BATCH_LIMIT: Final = 8 * 1024 * 1024
_CACHING: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
_AT_ONCE: Final = 64 * 1024  # bytes of JSON that the event loop reads itself


def operations(services: Services) -> list[Operation]:
    """Every operation of every record type."""
    return [one for shape in services.records.shapes.values() for one in _operations(services, shape)]


def _operations(services: Services, shape: Shape) -> list[Operation]:
    records, types = services.records, documented_types(shape)
    known = known_parameters(shape)

    async def accessing(tenant: str) -> RecordAccess:
        return RecordAccess(tenant, await caller_of(services, tenant), shape)

    async def listed(tenant: str) -> Response:
        access = await accessing(tenant)
        asked = parameters(known)
        kind = _accepted()
        if kind != JSON:
            return await _exported(services, access, asked, kind)
        page = await records.reads.list(access, asked)
        made = answer(page.body)
        if page.next_cursor is not None:
            made.headers["Link"] = f'<{_following(asked, page.next_cursor)}>; rel="next"'
        return made

    async def detail(tenant: str, id: str) -> Response:  # noqa: A002 -- the wire's word
        access = await accessing(tenant)
        parameters(())
        document = await records.reads.detail(access, id)
        return tagged(document.body, etag(document.revision, document.body), _CACHING)

    async def create(tenant: str) -> Response:
        access = await accessing(tenant)
        parameters(())
        data, raw = await _sent(RECORD_LIMIT)
        return await _answered(shape, records.writes.create(access, data, _idempotent(access, raw)))

    async def update(tenant: str, id: str) -> Response:  # noqa: A002 -- the wire's word
        access = await accessing(tenant)
        parameters(())
        data, _ = await _sent(RECORD_LIMIT, schemas.MERGE_PATCH)
        return await _answered(shape, records.writes.update(access, id, data, _field("If-Match")))

    async def put(tenant: str, external_id: str) -> Response:
        access = await accessing(tenant)
        parameters(())
        data, _ = await _sent(RECORD_LIMIT)
        return await _answered(shape, records.writes.put(access, external_id, data, _field("If-Match")))

    async def batch(tenant: str) -> Response:
        access = await accessing(tenant)
        atomic = _flag("atomic")
        data, raw = await _sent(BATCH_LIMIT)
        asked = Batch(data=data, atomic=atomic, request_id=exchange().request_id, idempotent=_idempotent(access, raw))
        return await _answered(shape, records.batches.run(access, asked))

    base, one = f"{BASE}/{shape.name}", f"{BASE}/{shape.name}/{{id}}"
    own = f"{base}/external/{{external_id}}"
    return [
        Operation(method="GET", path=base, handler=listed, **schemas.list_operation(shape, types)),
        Operation(method="POST", path=base, handler=create, **schemas.create_operation(shape, types)),
        Operation(method="GET", path=one, handler=detail, **schemas.detail_operation(shape, types)),
        Operation(method="PATCH", path=one, handler=update, **schemas.update_operation(shape, types)),
        Operation(method="PUT", path=own, handler=put, **schemas.put_operation(shape, types)),
        Operation(method="POST", path=f"{base}/batch", handler=batch, **schemas.batch_operation(shape, types)),
    ]


async def _sent(limit: int, media_types: tuple[str, ...] = (JSON,)) -> tuple[Any, bytes]:
    """The body as JSON and as it came."""
    require_media_type(media_types)
    raw = await read_body(limit)
    if len(raw) > _AT_ONCE:  # the parser lets go of the interpreter now and then, of the loop never
        return await asyncio.to_thread(loads, raw), raw
    return loads(raw), raw


async def _answered(shape: Shape, writing: Any) -> Response:
    """The answer to a write: the record with its tag and, where it is new, its address."""
    try:
        written: WriteResult = await writing
    except ReplayedRefusal as replayed:
        made = problem(replayed.error)
        made.headers["Idempotent-Replayed"] = "true"
        return made
    headers = {}
    if written.id:
        headers["ETag"] = etag(written.revision, written.body)
    if written.status == 201:
        base = request.path[: request.path.index("/api/v1/")]
        headers["Location"] = f"{base}/api/v1/{shape.name}/{written.id}"
    if written.replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer(written.body, written.status, headers)


async def _exported(services: Services, access: RecordAccess, asked: dict[str, str], kind: str) -> Response:
    pages = await services.records.reads.export(access, asked)
    body = export.as_ndjson(pages) if kind == NDJSON else export.as_csv(access.shape, pages)
    made = Response(body, 200, content_type=f"{kind}; charset=utf-8" if kind == CSV else kind)
    made.headers["Cache-Control"] = "no-store"
    return made


def _following(asked: dict[str, str], cursor: str) -> str:
    """The address of the next page: this one's with the cursor in it."""
    if "cursor" in asked:
        return f"{request.path}?{urlencode({**asked, 'cursor': cursor})}"
    query = request.scope["query_string"].decode("ascii").replace(">", "%3E")
    return f"{request.path}?{query}{'&' if query else ''}cursor={cursor}"


def _flag(name: str) -> bool:
    """The one parameter that there may be, as a truth. Raises InvalidParameter."""
    told = parameters((name,)).get(name, "false")
    if told not in ("true", "false"):
        raise InvalidParameter(f"{name} is true or false.", parameter=name)
    return told == "true"


def _idempotent(access: RecordAccess, raw: bytes) -> IdempotentRequest | None:
    query: bytes = request.scope["query_string"]
    return idempotent_request(_field("Idempotency-Key"), access.caller, request.path, b"%b\n%b" % (query, raw))


def _field(name: str) -> str | None:
    """A header field that may stand once. Raises InvalidParameter."""
    found = fields(name.lower())
    if len(found) > 1:
        raise InvalidParameter(f"The header field {name} stands twice; send it once.", parameter=name)
    return found[0] if found else None


def _accepted() -> str:
    """The media type to answer with. Raises NotAcceptable."""
    if "Accept" not in request.headers:
        return JSON
    best = request.accept_mimetypes.best_match([JSON, NDJSON, CSV])
    if best is None:
        raise NotAcceptable(f"Lists come as {JSON}, {NDJSON} or {CSV}.")
    return str(best)

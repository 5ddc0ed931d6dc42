"""The routes of sync: pushes, health, the log, history and restore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from quart import Response, request

from crm_core.errors import InvalidParameter, NotAcceptable, ServerError
from crm_core.services import Services
from crm_core.sync import log as sync_log
from crm_core.sync.push_request import PushRequest
from crm_core.web.answers import answer
from crm_core.web.api import sync_schemas as schemas
from crm_core.web.callers import caller_of
from crm_core.web.exchange import exchange
from crm_core.web.operations import BASE, Operation
from crm_core.web.reading import parameters, read_body, whole_number
from crm_core.web.streams import CSV, NDJSON, csv_lines, json_lines
from crm_core.workspace import require_scope

_FLAGS: Final = {"true": True, "false": False}


def require_plain_address() -> None:
    """Raise InvalidParameter unless the address can be written in one way only: what is signed is what is routed."""
    if b"%" in request.scope["raw_path"]:  # our server always tells it
        raise InvalidParameter("The paths of pushes and of health hold no percent sign; write every character plainly.")
    if request.scope["query_string"]:
        raise InvalidParameter("The addresses of pushes and of health take no query; leave it out.")


def arrival_of(services: Services, tenant: str, payload_type: str) -> PushRequest:
    """The request at hand as the receiver sees it. Raises InvalidParameter for an ambiguous address."""
    require_plain_address()
    raw_path: bytes = request.scope["raw_path"]
    known = exchange()
    limit = services.settings.sync.max_payload_bytes
    return PushRequest(
        tenant=tenant,
        payload_type=payload_type,
        request_id=known.request_id,
        client_request_id=known.client_request_id,
        source=known.source,
        received_at=known.received_at,
        method=request.method,
        path=raw_path.decode("ascii"),
        query=None,
        authority=request.headers.get("Host", ""),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1").strip(" \t")) for name, value in request.scope["headers"]
        ),
        read_body=lambda: read_body(limit),
    )


def operations(services: Services) -> list[Operation]:
    """Every operation of sync."""
    return [*_of_platforms(services), *_of_readers(services)]


def _of_platforms(services: Services) -> list[Operation]:
    """What signed requests ask for: the push, and health."""

    async def push(tenant: str, payload_type: str) -> Response:
        return answer(await services.receiver.receive(arrival_of(services, tenant, payload_type)))

    async def health(tenant: str) -> Response:
        signed = {name for scheme in services.registry.schemes.values() for name in scheme.HEADERS}
        if not signed.isdisjoint(name.decode("latin-1") for name, _ in request.scope["headers"]):
            attempt = await services.receiver.verify_health(arrival_of(services, tenant, "health"))
            try:
                return answer(await services.health.report_anyway(tenant, attempt.key))
            except ServerError:
                services.receiver.unanswered_health(attempt)
                raise
        require_plain_address()
        await _require(services, tenant, scope="sync:health", key="sync.view")
        return answer(await services.health.report_anyway(tenant))

    return [
        Operation(method="POST", path=f"{BASE}/sync/{{payload_type}}", handler=push, **schemas.push(services.registry)),
        Operation(method="GET", path=f"{BASE}/sync/health", handler=health, **schemas.HEALTH),
    ]


def _of_readers(services: Services) -> list[Operation]:
    """What tokens and users ask for: the log, history, restore."""

    async def log(tenant: str) -> Response:
        await _require(services, tenant, scope="sync:read", key="sync.view")
        query = parameters((*sync_log.FILTERS, "limit", "cursor"))
        limit = whole_number("limit", query.pop("limit", None), default=50, most=sync_log.MOST)
        cursor = query.pop("cursor", None)
        kind = _accepted()
        if kind != "application/json":
            return _streamed(services, tenant, query, kind)
        items, following = await services.log.page(tenant, query, limit=limit, cursor=cursor)
        return answer({"items": [sync_log.shown(entry) for entry in items], "next_cursor": following})

    async def entry(tenant: str, id: str) -> Response:  # noqa: A002 -- the wire's word
        parameters(())
        await _require(services, tenant, scope="sync:read", key="sync.view")
        return answer(sync_log.shown(await services.log.one(tenant, id)))

    async def history(tenant: str, section: str) -> Response:
        await _require(services, tenant, scope="sync:read", key="sync.view")
        query = parameters(("limit", "cursor"))
        limit = whole_number("limit", query.get("limit"), default=50, most=sync_log.MOST)
        items, following = await services.history.page(tenant, section, limit=limit, cursor=query.get("cursor"))
        return answer({"items": [schemas.history_item(item) for item in items], "next_cursor": following})

    async def restore(tenant: str, section: str, revision: str) -> Response:
        caller = await _require(services, tenant, scope="sync:admin", key="sync.restore")
        preview = parameters(("preview",)).get("preview", "false")
        if preview not in _FLAGS:
            raise InvalidParameter("preview is true or false.", parameter="preview")
        number = whole_number("revision", revision, default=0, most=999_999_999)
        known = exchange()
        receipt = await services.history.restore(
            tenant,
            section,
            number,
            actor=caller.actor,
            request_id=known.request_id,
            client_request_id=known.client_request_id,
            source=known.source,
            preview=_FLAGS[preview],
        )
        return answer(receipt)

    history_path = f"{BASE}/sync/history/{{section}}"
    return [
        Operation(method="GET", path=f"{BASE}/sync/log", handler=log, **schemas.LOG),
        Operation(method="GET", path=f"{BASE}/sync/log/{{id}}", handler=entry, **schemas.ENTRY),
        Operation(method="GET", path=history_path, handler=history, **schemas.HISTORY),
        Operation(method="POST", path=f"{history_path}/{{revision}}/restore", handler=restore, **schemas.RESTORE),
    ]


async def _require(services: Services, tenant: str, *, scope: str, key: str) -> Any:
    caller = await caller_of(services, tenant)
    require_scope(await services.views.of(tenant), caller, scope=scope, key=key)
    return caller


def _accepted() -> str:
    """The media type to answer with. Raises NotAcceptable."""
    if not request.headers.get("Accept", "").strip():
        return "application/json"
    best = request.accept_mimetypes.best_match(["application/json", NDJSON, CSV])
    if best is None:
        raise NotAcceptable(f"The log comes as application/json, {NDJSON} or {CSV}.")
    return str(best)


def _streamed(services: Services, tenant: str, filters: dict[str, str], kind: str) -> Response:
    """Every entry of the selection, streamed."""
    sync_log.query_of(filters)  # what is wrong with it is told before the first byte

    async def rows() -> AsyncIterator[dict[str, Any]]:
        async for one in services.log.every(tenant, filters):
            yield sync_log.shown(one)

    body = json_lines(rows()) if kind == NDJSON else csv_lines(rows(), schemas.ENTRY_MEMBERS)
    made = Response(body, 200, content_type=f"{kind}; charset=utf-8" if kind == CSV else kind)
    made.headers["Cache-Control"] = "no-store"
    return made

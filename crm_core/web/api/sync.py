"""The routes of sync: pushes, health, the log, history and restore."""

from __future__ import annotations

from functools import partial

from crm_core.errors import InvalidParameter
from crm_core.services import Services
from crm_core.sync import log as sync_log
from crm_core.sync.push_request import PushRequest
from crm_core.web.answers import CSV, JSON, NDJSON, Answer, answer, streamed
from crm_core.web.api import sync_schemas as schemas
from crm_core.web.callers import caller_of
from crm_core.web.log_export import as_csv, as_ndjson, exported_log
from crm_core.web.operations import Route
from crm_core.web.reading import accepted, flag, whole_number
from crm_core.web.request import Request
from crm_core.workspace import require_scope


def require_plain_address(request: Request) -> None:
    """Raise InvalidParameter unless the address has one spelling, so that the signed path is the routed one."""
    if b"%" in request.raw_path:
        raise InvalidParameter(
            "The paths of pushes and of health contain no percent sign; write every character plainly."
        )
    if request.query_string:
        raise InvalidParameter("The addresses of pushes and of health have no query; leave it out.")


def push_request_of(services: Services, request: Request, payload_type: str) -> PushRequest:
    """The request as the receiver sees it. Raises InvalidParameter for an ambiguous address."""
    require_plain_address(request)
    scheme, _, authority = (services.settings.public_url or request.origin).partition("://")
    return PushRequest(
        tenant=request.tenant,
        payload_type=payload_type,
        request_id=request.request_id,
        client_request_id=request.client_request_id,
        source=request.source,
        received_at=request.received_at,
        method=request.method,
        path=request.raw_path.decode("ascii"),
        query=None,
        scheme="https" if scheme == "https" else "http",
        authority=authority,
        headers=tuple(
            [(name.decode("latin-1"), value.decode("latin-1").strip(" \t")) for name, value in request.headers]
        ),
        read_body=partial(request.read_body, services.settings.sync.max_payload_bytes),
    )


def routes(services: Services) -> list[Route]:
    """Every operation of sync."""
    return [*_of_platforms(services), *_of_readers(services)]


def _of_platforms(services: Services) -> list[Route]:
    """The operations that platforms sign: the push, and health."""
    signature_fields = {name.encode() for scheme in services.registry.schemes.values() for name in scheme.HEADERS}

    async def push(request: Request) -> Answer:
        payload_type = request.path_parameters["payload_type"]
        return answer(await services.receiver.receive(push_request_of(services, request, payload_type)))

    async def health(request: Request) -> Answer:
        tenant = request.tenant
        if not signature_fields.isdisjoint(name for name, _ in request.headers):
            attempt = await services.receiver.verify_health(push_request_of(services, request, "health"))
            try:
                return answer(await services.health.report_anyway(tenant, attempt.key))
            except Exception:  # a fault of the server, which the boundary reports
                services.receiver.unanswered_health(attempt)
                raise
        require_plain_address(request)
        caller = await caller_of(services, request, tenant)
        require_scope(await services.views.of(tenant), caller, scope="sync:health", key="sync.view")
        return answer(await services.health.report_anyway(tenant))

    limit = services.settings.sync.max_payload_bytes
    return [Route(schemas.push(services.registry, limit), push), Route(schemas.health(services.registry), health)]


def _of_readers(services: Services) -> list[Route]:
    """The operations of tokens and users: the log, history, restore."""

    async def log(request: Request) -> Answer:
        limit = whole_number("limit", request.query.get("limit"), default=50, most=sync_log.MOST)
        kind, bom = accepted(request, (JSON, NDJSON, CSV)), flag(request.query, "bom")
        filters = {name: value for name, value in request.query.items() if name in sync_log.FILTERS}
        if kind != JSON:
            sync_log.query_of(filters)  # raises before the first byte is sent
            rows = exported_log(services, request.tenant, request.caller, filters)
            return streamed(as_ndjson(rows) if kind == NDJSON else as_csv(rows, bom=bom), kind)
        cursor = request.query.get("cursor")
        items, following = await services.log.page(request.tenant, filters, limit=limit, cursor=cursor)
        return answer({"items": [sync_log.shown(entry) for entry in items], "next_cursor": following})

    async def entry(request: Request) -> Answer:
        return answer(sync_log.shown(await services.log.one(request.tenant, request.path_parameters["id"])))

    async def history(request: Request) -> Answer:
        limit = whole_number("limit", request.query.get("limit"), default=50, most=sync_log.MOST)
        section, cursor = request.path_parameters["section"], request.query.get("cursor")
        items, following = await services.history.page(request.tenant, section, limit=limit, cursor=cursor)
        return answer({"items": [schemas.history_item(item) for item in items], "next_cursor": following})

    async def restore(request: Request) -> Answer:
        receipt = await services.history.restore(
            request.tenant,
            request.path_parameters["section"],
            whole_number("revision", request.path_parameters["revision"], default=0, most=999_999_999),
            actor=request.caller.actor,
            request_id=request.request_id,
            client_request_id=request.client_request_id,
            source=request.source,
            preview=flag(request.query, "preview"),
        )
        return answer(receipt)

    return [
        Route(schemas.LOG, log),
        Route(schemas.ENTRY, entry),
        Route(schemas.HISTORY, history),
        Route(schemas.RESTORE, restore),
    ]

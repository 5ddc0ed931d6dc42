"""The documents of operators: is the instance alive, is it ready, its metrics, its tenants and its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from crm_core import errors
from crm_core.errors import InvalidParameter, NotFound, StorageUnavailable
from crm_core.metrics import Metrics
from crm_core.server.source import is_operator, is_own_host
from crm_core.services import Services
from crm_core.sync.tenant_list import MOST, STATUSES
from crm_core.web.answers import Answer, answer, content
from crm_core.web.api.parameters import CURSOR, LIMIT
from crm_core.web.operations import Parameter, Route, open_route
from crm_core.web.reading import read_query, whole_number
from crm_core.web.request import Request
from crm_core.workspace.reading import SectionFault

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_TAG: Final = "operators"
_STATUS: Final = Parameter(
    name="status", description="Only tenants with this status.", schema={"type": "string", "enum": list(STATUSES)}
)


class TenantRow(msgspec.Struct, frozen=True):
    """The health of a tenant in the list; ``last_success`` and ``revision`` are null if its store cannot be read."""

    tenant: str
    status: str
    reasons: list[str]
    expected_key: str | None
    last_success: dict[str, str | int | None] | None
    revision: int | None


class TenantPage(msgspec.Struct, frozen=True):
    """A page of tenants, by name."""

    items: list[TenantRow]
    next_cursor: str | None


def routes(services: Services, counts: Metrics) -> list[Route]:
    """Liveness, readiness, metrics, tenants, plugins."""
    services.feeds.observers.append(counts.event_streams.set)
    one = _Documents(services, counts)
    array = {"type": "array", "items": {"type": "object"}}
    not_found, unknown = errors.NotFound, (errors.UnknownParameter, errors.InvalidParameter)
    return [
        open_route("/healthz", "get_healthz", "Is the process alive?", one.healthz, tag=_TAG),
        open_route("/readyz", "get_readyz", "Does it serve, and which tenants have trouble?", one.readyz, tag=_TAG),
        open_route(
            "/metrics", "get_metrics", "Metrics for Prometheus, for operators' addresses.", one.metrics,
            tag=_TAG, media_type="text/plain", errors=(not_found,),
        ),
        open_route(
            "/-/tenants", "list_tenants", "Every tenant with its health, by name, for operators' addresses.",
            one.tenants, tag=_TAG, schema=TenantPage, parameters=(_STATUS, LIMIT, CURSOR),
            errors=(not_found, *unknown, errors.InvalidCursor),
        ),
        open_route(
            "/-/plugins", "list_plugins", "The plugins, for operators' addresses.", one.plugins,
            tag=_TAG, schema=array, errors=(not_found, *unknown),
        ),
    ]  # fmt: skip


class _Documents:
    """The documents as they are now."""

    def __init__(self, services: Services, counts: Metrics) -> None:
        self._services, self._counts = services, counts

    async def healthz(self, _request: Request) -> Answer:
        return answer({"status": "ok"})

    async def readyz(self, request: Request) -> Answer:
        troubled, storage = await _troubled(self._services)
        problems, unreadable = list(self._services.configured.errors()), self._services.views.unreadable()
        state = {
            "status": "degraded" if troubled or storage or problems or unreadable else "ready",
            "instance": self._services.settings.instance,
            "storage_up": not storage,
        }
        if _is_operator(self._services, request):  # names and reasons are not for strangers
            more = {"storage": storage, "sections": _sections(unreadable), "config": problems}
            return answer({**state, "tenants": troubled, **more})
        return answer(state)

    async def metrics(self, request: Request) -> Answer:
        _operators_only(self._services, request)
        troubled, storage = await _troubled(self._services)
        self._counts.storage_up.set(not storage)
        if not storage:
            self._counts.tenants.set(await self._services.backend.count_tenants())
        self._counts.tenants_troubled.set(len(troubled))
        self._counts.sections_unreadable.set(sum(map(len, self._services.views.unreadable().values())))
        self._counts.config_errors.set(len(self._services.configured.errors()))
        return content(self._counts.text(), _TEXT)

    async def tenants(self, request: Request) -> Answer:
        _operators_only(self._services, request)
        query = read_query(request.query_string, ("cursor", "limit", "status"))
        limit, status = whole_number("limit", query.get("limit"), default=50, most=MOST), query.get("status")
        if status not in (None, *STATUSES):
            raise InvalidParameter(f"status must be one of {', '.join(STATUSES)}.", parameter="status")
        rows, following = await self._services.tenant_list.page(status=status, limit=limit, cursor=query.get("cursor"))
        return answer({"items": rows, "next_cursor": following})

    async def plugins(self, request: Request) -> Answer:
        _operators_only(self._services, request)
        read_query(request.query_string, ())
        brought = self._services.registry.brought()
        plugins = self._services.host.plugins
        return answer([plugin.described(brought.get(plugin.name, ())) for plugin in plugins])


def _sections(unreadable: Mapping[str, tuple[SectionFault, ...]]) -> list[dict[str, str]]:
    """Sections that no plugin can read, of the tenants that were in use lately."""
    return [
        {"tenant": tenant, "section": one.section, "plugin": one.plugin, "member": one.member, "reason": one.reason}
        for tenant, faults in unreadable.items()
        for one in faults
    ]


def _operators_only(services: Services, request: Request) -> None:
    """Raise NotFound for anyone else, as if there were nothing."""
    if not _is_operator(services, request):
        raise NotFound("There is nothing at this address.")


def _is_operator(services: Services, request: Request) -> bool:
    settings = services.settings
    return is_own_host(request.field(b"host") or "", settings.public_url) and is_operator(
        request.peer, request.headers, proxies=settings.trusted_proxies, operators=settings.operators
    )


async def _troubled(services: Services) -> tuple[list[dict[str, str]], str | None]:
    """The tenants whose store accepts no writes, and why the store as a whole does not answer."""
    try:
        found = await services.backend.troubled()
    except StorageUnavailable as error:
        return [], error.operator_detail
    return [{"tenant": tenant, "state": each.mode, "reason": each.reason} for tenant, each in found.items()], None

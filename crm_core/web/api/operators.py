"""The documents of operators: is the instance alive, is it ready, its metrics and its plugins."""

from __future__ import annotations

from typing import Final

from crm_core import errors
from crm_core.errors import NotFound
from crm_core.metrics import Metrics
from crm_core.server.source import is_operator
from crm_core.services import Services
from crm_core.web.answers import Answer, answer, content
from crm_core.web.operations import Route, open_route
from crm_core.web.reading import read_query
from crm_core.web.request import Request

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_TAG: Final = "operators"


def routes(services: Services, counts: Metrics) -> list[Route]:
    """Liveness, readiness, metrics, plugins."""

    async def healthz(_request: Request) -> Answer:
        return answer({"status": "ok"})

    async def readyz(request: Request) -> Answer:
        troubled = await _troubled(services)
        problems = list(services.configured.errors())
        state = {
            "status": "degraded" if troubled or problems else "ready",
            "instance": services.settings.instance,
        }
        if _is_operator(services, request):  # names and reasons are not for strangers
            return answer({**state, "tenants": troubled, "config": problems})
        return answer(state)

    async def metrics(request: Request) -> Answer:
        _operators_only(services, request)
        troubled = await _troubled(services)
        counts.tenants.set(await services.backend.count_tenants())
        counts.tenants_troubled.set(len(troubled))
        counts.config_errors.set(len(services.configured.errors()))
        counts.event_streams.set(services.feeds.open_streams)
        return content(counts.text(), _TEXT)

    async def plugins(request: Request) -> Answer:
        _operators_only(services, request)
        read_query(request.query_string, ())
        brought = services.registry.brought()
        return answer(
            [
                {
                    "name": plugin.name,
                    "version": plugin.version,
                    "kind": ", ".join(sorted({kind for kind, _ in brought.get(plugin.name, ())})) or "hooks",
                    "brings": [name for _, name in brought.get(plugin.name, ())],
                    "state": plugin.state,
                    "error": plugin.error,
                }
                for plugin in services.host.plugins
            ]
        )

    array = {"type": "array", "items": {"type": "object"}}
    not_found, unknown = errors.NotFound, (errors.UnknownParameter, errors.InvalidParameter)
    return [
        open_route("/healthz", "healthz", "Is the process alive?", healthz, tag=_TAG),
        open_route("/readyz", "readyz", "Does it serve, and which tenants have trouble?", readyz, tag=_TAG),
        open_route(
            "/metrics", "metrics", "Metrics for Prometheus, for operators' addresses.", metrics,
            tag=_TAG, media_type="text/plain", errors=(not_found,),
        ),
        open_route(
            "/-/plugins", "plugins", "The plugins, for operators' addresses.", plugins,
            tag=_TAG, schema=array, errors=(not_found, *unknown),
        ),
    ]  # fmt: skip


def _operators_only(services: Services, request: Request) -> None:
    """Raise NotFound for anyone else, as if there were nothing."""
    if not _is_operator(services, request):
        raise NotFound("There is nothing at this address.")


def _is_operator(services: Services, request: Request) -> bool:
    settings = services.settings
    return is_operator(request.peer, request.headers, proxies=settings.trusted_proxies, operators=settings.operators)


async def _troubled(services: Services) -> list[dict[str, str]]:
    """The tenants whose store accepts no writes."""
    return [
        {"tenant": tenant, "state": state.mode, "reason": state.reason}
        for tenant, state in (await services.backend.troubled()).items()
    ]

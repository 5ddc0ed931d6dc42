"""The pages of those who run the instance: is it alive, is it ready, what does it count, which plugins does it have."""

from __future__ import annotations

from quart import Response, request

from crm_core import errors
from crm_core.errors import NotFound
from crm_core.server.source import is_operator
from crm_core.services import Services
from crm_core.web.answers import answer
from crm_core.web.operations import Operation, Reply
from crm_core.web.reading import parameters

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def operations(services: Services) -> list[Operation]:
    """Liveness, readiness, metrics, plugins."""

    async def healthz() -> Response:
        return answer({"status": "ok"})

    async def readyz() -> Response:
        troubled = await _troubled(services)
        problems = list(services.configured.errors())
        status = "degraded" if troubled or problems else "ready"
        return answer(
            {"status": status, "instance": services.settings.instance, "tenants": troubled, "config": problems}
        )

    async def metrics() -> Response:
        _operators_only(services)
        troubled = await _troubled(services)
        services.metrics.tenants.set(len(await services.backend.tenants()))
        services.metrics.tenants_troubled.set(len(troubled))
        services.metrics.config_errors.set(len(services.configured.errors()))
        services.metrics.event_streams.set(services.feeds.open_streams)
        return Response(services.metrics.text(), content_type=_TEXT)

    async def plugins() -> Response:
        _operators_only(services)
        parameters(())
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

    json = Reply(description="Fine.", schema={"type": "object"})
    return [
        Operation(
            method="GET",
            path="/healthz",
            name="healthz",
            summary="Is the process alive?",
            tag="operators",
            handler=healthz,
            open_to_all=True,
            replies={200: json},
        ),
        Operation(
            method="GET",
            path="/readyz",
            name="readyz",
            summary="Does it serve, and which tenants have trouble?",
            tag="operators",
            handler=readyz,
            open_to_all=True,
            replies={200: json},
        ),
        Operation(
            method="GET",
            path="/metrics",
            name="metrics",
            summary="Metrics for Prometheus, for operators' addresses.",
            tag="operators",
            handler=metrics,
            open_to_all=True,
            replies={200: Reply(description="Metrics.", schema={"type": "string"}, media_types=("text/plain",))},
            errors=(errors.NotFound,),
        ),
        Operation(
            method="GET",
            path="/-/plugins",
            name="plugins",
            summary="The plugins, for operators' addresses.",
            tag="operators",
            handler=plugins,
            open_to_all=True,
            replies={200: Reply(description="Every plugin.", schema={"type": "array", "items": {"type": "object"}})},
            errors=(errors.NotFound, errors.UnknownParameter, errors.InvalidParameter),
        ),
    ]


def _operators_only(services: Services) -> None:
    """Raise NotFound for anyone else: what is not for them is not there."""
    settings = services.settings
    if not is_operator(request.scope, proxies=settings.trusted_proxies, operators=settings.operators):
        raise NotFound("There is nothing at this address.")


async def _troubled(services: Services) -> list[dict[str, str]]:
    """The tenants whose store takes no writes."""
    return [
        {"tenant": tenant, "state": state.mode, "reason": state.reason}
        for tenant, state in (await services.backend.troubled()).items()
    ]

"""The Quart application: operations are routed, errors become problems, and the front stands before all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from quart import Blueprint, Quart, Response
from quart.routing import QuartRule

from crm_core.errors import CrmError, MisdirectedInstance, UnknownTenant
from crm_core.services import Services
from crm_core.web.connection import RequestConnection
from crm_core.web.exchange import exchange
from crm_core.web.front import Asgi, Front
from crm_core.web.operations import TENANT, Operation, route
from crm_core.web.problems import problem, understood

_LONGEST_NAME: Final = 64  # of what the address says, in the log


class _MatchedOnly(QuartRule):
    """A rule that only matches: no address is built from routes, and preparing that costs most of a rule's making."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: ARG002, FBT001, FBT002 -- werkzeug's signature
        return _not_built


def _not_built(*_: object, **__: object) -> tuple[str, str]:
    raise NotImplementedError("addresses are written where they are used; routes build none")


def create_app(
    services: Services,
    operations: Iterable[Operation],
    pages: Iterable[Blueprint],
    *,
    counted: Callable[[str, int, float], None],
) -> Asgi:
    """The ASGI application of an instance."""
    app = Quart("crm_core", static_folder=None)
    app.asgi_http_class = RequestConnection
    app.url_rule_class = _MatchedOnly
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = None  # each operation has its own limit
    app.config["BODY_TIMEOUT"] = None  # the server's deadline holds
    app.config["RESPONSE_TIMEOUT"] = None  # exports and event streams take as long as their reader does
    app.register_error_handler(Exception, _on_error)
    for operation in operations:
        app.add_url_rule(
            route(operation.path),
            endpoint=operation.name,
            view_func=_view(operation, services),
            methods=[operation.method],
            provide_automatic_options=False,
        )
    for blueprint in pages:
        app.register_blueprint(blueprint)
    return Front(
        app,
        now=services.now,
        new_id=services.ids.new,
        proxies=services.settings.trusted_proxies,
        counted=counted,
    )


def _view(operation: Operation, services: Services) -> Callable[..., Awaitable[Response]]:
    handler = operation.handler
    if not operation.path.startswith(TENANT):
        return handler

    pushes = operation.signed and operation.body is not None

    async def view(instance: str, tenant: str, **path: Any) -> Response:
        try:
            await require_tenant(services, instance, tenant)
        except CrmError as error:
            raise _misdirected(services, error, instance, tenant, **path) if pushes else error from None
        return await handler(tenant, **path)

    return view


def _misdirected(services: Services, error: CrmError, instance: str, tenant: str, payload_type: str) -> CrmError:
    """A push for no tenant here is an attempt too: it counts, and the instance's own log has it."""
    known, asked = exchange(), {"instance": instance, "tenant": tenant, "payload_type": payload_type}
    return services.attempt_log.misdirected(
        error,
        source=known.source,
        request_id=known.request_id,
        client_request_id=known.client_request_id,
        **{name: text[:_LONGEST_NAME] for name, text in asked.items()},
    )


async def require_tenant(services: Services, instance: str, tenant: str) -> None:
    """Raise MisdirectedInstance, UnknownTenant unless the address is of a tenant that is served here."""
    if instance != services.settings.instance:
        raise MisdirectedInstance(
            f"This process serves {services.settings.instance}; ask the one that serves this code."
        )
    if not await services.backend.has(tenant):
        raise UnknownTenant("There is no such tenant in this instance.")


async def _on_error(error: Exception) -> Response:
    return problem(understood(error))

"""From a request to its answer: the one way through the API, with and without the framework."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from crm_core.access.streams import Stream
from crm_core.errors import CrmError, MalformedPath, MethodNotAllowed, MisdirectedInstance, NotFound, UnknownTenant
from crm_core.server.paths import refused
from crm_core.services import Services
from crm_core.web.answers import Answer, Later, for_head
from crm_core.web.callers import body_of, caller_of
from crm_core.web.compression import compressed
from crm_core.web.cors import Cors, preflight
from crm_core.web.operations import Operation, Route
from crm_core.web.problems import problem
from crm_core.web.reading import free, read_query, require_acceptable
from crm_core.web.request import Request
from crm_core.web.routing import Router
from crm_core.web.slips import SLIP, nothing_here
from crm_core.workspace import require_scope

_API: Final = re.compile(r"/i/([^/]*)/(?:t/[^/]*/api(?:/|$)|(?:openapi\.json|docs(?:\.css|/[^/]*)?)$)")
_LONGEST_NAME: Final = 64  # of path segments in the log
_LONGEST_CACHED: Final = 512  # bytes of a query whose parameters are cached


def _query_of(route: Route, sent: bytes) -> Mapping[str, str]:
    """The parameters of a query. Raises UnknownParameter, InvalidParameter."""
    query = route.queries.get(sent)
    if query is None:
        query = read_query(sent, route.query_names, route.repeatable_names)
        if len(sent) <= _LONGEST_CACHED:
            route.queries.add(sent, query)
    return query


class Dispatcher:
    """Answers every request for an operation: path, route, tenant, caller, query and right, then the handler."""

    def __init__(self, services: Services, routes: Sequence[Route]) -> None:
        self._services = services
        self._router = Router(routes)
        self._cors = Cors(services.settings.allowed_origins)
        self._plain_paths = {route.operation.path for route in routes}  # those with parameters match no path

    def serves(self, request: Request) -> bool:
        """Whether a request is answered here and not by a page.

        These are all below ``/i/{instance}/t/{tenant}/api``, the operations outside tenants, the documents of an
        instance, paths that forgot a part of the API's, and paths that are refused before anything is routed.
        """
        path = request.path
        return (
            path in self._plain_paths
            or _API.match(path) is not None
            or SLIP.match(path) is not None
            or refused(request.raw_path) is not None
        )

    async def settled(self, request: Request) -> Answer:
        """The answer to a request, for a server that does not call again: waited for, without a Stream."""
        answer = await self(request)
        while isinstance(answer, Later):
            try:
                await answer.waiter.called()
            except asyncio.CancelledError:
                self._services.feeds.leave(answer.waiter)
                raise
            answer = await self(msgspec.structs.replace(request, waiter=answer.waiter))
        if isinstance(answer.body, Stream):
            parts = self._services.feeds.parts(answer.body)
            await anext(parts)
            return Answer(answer.status, answer.headers, parts)
        return answer

    async def __call__(self, request: Request) -> Answer | Later:
        """The answer to a request; errors become problems."""
        answer: Answer | Later | None = None
        try:
            answer = await self._answer(request)
        except Exception as error:  # noqa: BLE001 -- the boundary: every error becomes a problem
            answer = problem(error, request)
        finally:
            if request.waiter is not None and not isinstance(answer, Later):
                self._services.feeds.leave(request.waiter)
        if isinstance(answer, Later):
            return answer
        if request.parsed:
            asyncio.get_running_loop().run_in_executor(None, free, request.parsed)
        answer = Answer(answer.status, [*answer.headers, *self._cors.fields(request)], answer.body)
        return await for_head(answer) if request.method == "HEAD" else answer

    async def _answer(self, request: Request) -> Answer | Later:
        reason = refused(request.raw_path)
        if reason is not None:
            raise MalformedPath(reason)
        if self._cors.is_preflight(request):
            return preflight(self._router.methods(request.path))
        route, parameters = self._find(request)
        operation, sender = route.operation, None
        query: Mapping[str, str] = {}
        if route.in_tenant:
            await self._require_tenant(operation, request, parameters)
            if not operation.signed:
                if not operation.open_to_all:
                    sender = await caller_of(self._services, request, parameters["tenant"])
                    if request.whole is None:
                        chunks = partial(body_of, self._services, request, parameters["tenant"], sender)
                        request = msgspec.structs.replace(request, chunks=chunks)
                query = _query_of(route, request.query_string)
                if operation.method == "GET":
                    require_acceptable(request, route.media_types)
                if sender is not None and route.core_key is not None:
                    workspace = await self._services.views.of(parameters["tenant"])
                    require_scope(workspace, sender, scope=operation.scope, key=route.core_key)
        elif route.in_instance:
            require_instance(self._services, parameters["instance"])
        body = operation.body
        answer = await route.handler(
            msgspec.structs.replace(
                request,
                path_parameters=parameters,
                query=query,
                sender=sender,
                body_types=() if body is None else body.media_types,
                body_limit=0 if body is None else body.limit,
            )
        )
        return await compressed(request, answer) if route.is_compressed and isinstance(answer, Answer) else answer

    def _find(self, request: Request) -> tuple[Route, dict[str, str]]:
        try:
            return self._router.find(request.method, request.path)
        except (NotFound, MethodNotAllowed) as error:
            addressed = _API.match(request.path)
            if addressed is not None:
                require_instance(self._services, addressed[1])  # the other instance may have it
            if isinstance(error, MethodNotAllowed):
                raise
            raise NotFound(nothing_here(request.path, request.instance, self._router.has)) from None

    async def _require_tenant(self, operation: Operation, request: Request, path: dict[str, str]) -> None:
        try:
            await require_tenant(self._services, path["instance"], path["tenant"])
        except CrmError as error:
            if operation.signed and operation.body is not None:
                # A push for no tenant here is an attempt too: it counts, and the instance's own log has it.
                raise self._services.attempt_log.misdirected(
                    error,
                    source=request.source,
                    request_id=request.request_id,
                    client_request_id=request.client_request_id,
                    **{name: text[:_LONGEST_NAME] for name, text in path.items()},
                ) from None
            raise


def require_instance(services: Services, instance: str) -> None:
    """Raise MisdirectedInstance unless this process serves the instance."""
    if instance != services.settings.instance:
        raise MisdirectedInstance(
            f"This process serves {services.settings.instance}, not {instance[:_LONGEST_NAME]!a}. "
            "Correct the address, or send the request to the manager."
        )


async def require_tenant(services: Services, instance: str, tenant: str) -> None:
    """Raise MisdirectedInstance, UnknownTenant unless the address is of a tenant that is served here."""
    require_instance(services, instance)
    if not await services.backend.has(tenant):
        raise UnknownTenant("This instance has no such tenant.")

"""The operations of the API: their paths, who may call them, and their part of the OpenAPI document.

Each module of routes lists its operations once; dispatcher, documentation and the tests of access read the same list.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from crm_core.errors import CrmError
from crm_core.model.recent import Recent
from crm_core.web.answers import Answer, Later
from crm_core.web.request import Request

INSTANCE = "/i/{instance}"
TENANT = f"{INSTANCE}/t/{{tenant}}"
BASE = f"{TENANT}/api/v1"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")

Handler = Callable[[Request], Awaitable[Answer | Later]]
"""An ``async def``. When it runs, the instance and the tenant of its path are served here, and the caller has the key
of the core that the operation requires."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A query parameter or header; ``schema`` is its JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})
    where: Literal["query", "header"] = "query"
    repeats: bool = False  # it may be sent several times; ``schema`` is of one value


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A request's body of at most ``limit`` bytes; ``schema`` is a msgspec type or a JSON Schema."""

    schema: Any
    limit: int
    media_types: tuple[str, ...] = ("application/json",)
    example: Any = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is no error; ``schema`` is a msgspec type or a JSON Schema, None for no content."""

    description: str
    schema: Any = None
    media_types: tuple[str, ...] = ("application/json",)
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    ``name`` is its operationId. ``scope``: the scope that a token needs (``any``: every token may; None: no token may).
    ``key``: the feature key that a user needs (likewise). ``open_to_all``: no credential is required. ``signed``: a
    signature may replace a credential. ``errors``: besides those of every operation.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    name: str
    summary: str
    tag: str
    replies: Mapping[int, Reply]
    scope: str | None = None
    key: str | None = None
    open_to_all: bool = False
    signed: bool = False
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    errors: tuple[type[CrmError], ...] = ()
    path_schemas: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    description: str = ""

    @property
    def in_tenant(self) -> bool:
        """Whether the path is below a tenant."""
        return self.path.startswith(TENANT)

    @property
    def path_names(self) -> list[str]:
        """The parameters of the path, in order."""
        return _PARAMETER.findall(self.path)


class Route:
    """An operation and what answers it, with what every request needs of the operation.

    ``queries``: the parameters of queries that were sent before; clients send few differing ones again and again.
    """

    def __init__(self, operation: Operation, handler: Handler) -> None:
        self.operation, self.handler = operation, handler
        self.method, self.path = operation.method, operation.path
        self.in_instance, self.in_tenant = operation.path.startswith(INSTANCE), operation.in_tenant
        of_records = operation.scope is not None and not operation.scope.startswith("sync:")
        # The key of the core that a user needs. Keys of modules, and the right to erase, are checked with records.
        self.core_key = None if operation.key == "any" or of_records else operation.key
        answers = (reply.media_types for reply in operation.replies.values() if reply.schema is not None)
        self.media_types = next(answers, ())
        found = operation.replies.get(200)
        tagged = found is None or "ETag" in found.headers
        # Clients may request lists and exports in gzip.
        self.is_compressed = (
            self.method == "GET" and self.in_tenant and not tagged and "text/event-stream" not in self.media_types
        )
        self.query_names = frozenset(one.name for one in operation.parameters if one.where == "query")
        self.repeatable_names = frozenset(one.name for one in operation.parameters if one.repeats)
        self.queries: Recent[bytes, Mapping[str, str]] = Recent(256)


def open_route(
    path: str,
    name: str,
    summary: str,
    handler: Handler,
    *,
    tag: str,
    media_type: str = "application/json",
    schema: Any = None,
    parameters: tuple[Parameter, ...] = (),
    errors: tuple[type[CrmError], ...] = (),
) -> Route:
    """A document outside tenants that requires no credential: a JSON object, or a text of another type."""
    kind = {"type": "object" if media_type == "application/json" else "string"}
    reply = Reply(description="The document.", schema=schema or kind, media_types=(media_type,))
    operation = Operation(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        tag=tag,
        open_to_all=True,
        replies={200: reply},
        parameters=parameters,
        errors=errors,
    )
    return Route(operation, handler)


def base_of(request: Request) -> str:
    """The path of a tenant's API, from a request for it."""
    return BASE.format_map(request.path_parameters)

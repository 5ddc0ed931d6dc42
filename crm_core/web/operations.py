"""The operations of the API: what is routed, who may call it, and what the OpenAPI document says about it.

Each module of routes lists its operations once; routing, documentation and the tests of access read the same list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec
from quart import Response

from crm_core.errors import CrmError

TENANT = "/i/{instance}/t/{tenant}"
BASE = f"{TENANT}/api/v1"

Handler = Callable[..., Awaitable[Response]]
"""An ``async def``; path parameters arrive as keyword arguments, ``tenant`` first where the path has one.

For paths below a tenant, the instance is this one and the tenant exists when the handler runs.
"""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A query parameter or header; ``schema`` is its JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})
    where: Literal["query", "header"] = "query"
    required: bool = False


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A request's body: ``schema`` is a msgspec type or a JSON Schema."""

    schema: Any
    media_types: tuple[str, ...] = ("application/json",)
    required: bool = True
    example: Any = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is no error; ``schema`` is a msgspec type or a JSON Schema, None for no content."""

    description: str
    schema: Any = None
    media_types: tuple[str, ...] = ("application/json",)
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    ``name`` is its operationId. ``scope``: what a token needs (``any``: every token will do; None: no token will do).
    ``key``: what a user needs (``any``: every user; None: no user may). ``open_to_all``: no credential is asked for.
    ``signed``: a signature may stand in place of a credential. ``errors``: besides those of every operation.
    """

    method: Literal["GET", "POST", "PUT", "PATCH"]
    path: str
    name: str
    summary: str
    handler: Handler
    tag: str
    scope: str | None = None
    key: str | None = None
    open_to_all: bool = False
    signed: bool = False
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    replies: Mapping[int, Reply]
    errors: tuple[type[CrmError], ...] = ()
    path_schemas: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    description: str = ""


def route(path: str) -> str:
    """A path in the form that the router takes."""
    return path.replace("{", "<").replace("}", ">")


def by_path(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Operations by path, in order."""
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, []).append(operation)
    return found

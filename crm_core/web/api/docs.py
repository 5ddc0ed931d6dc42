"""``/openapi.json``, and ``/docs``: the same as pages, drawn here, that need nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from crm_core.services import Services
from crm_core.web.answers import Answer, content, encoded, etag_of, tagged
from crm_core.web.api.openapi import document
from crm_core.web.operations import Handler, Operation, Reply, Route
from crm_core.web.request import Request

_TEMPLATES: Final = Path(__file__).parent / "templates"
_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_CACHE: Final = {"Cache-Control": "no-cache"}
_STYLE: Final = Path(__file__).parent / "static" / "docs.css"


def routes(services: Services, documented: Sequence[Route]) -> list[Route]:
    """The document of these routes and its own, as JSON and as a page, each made at its first request."""
    sheet = _STYLE.read_bytes()

    @cache
    def whole() -> dict[str, Any]:
        operations = [route.operation for route in (*documented, *own)]
        return document(operations, instance=services.settings.instance)

    @cache
    def body() -> tuple[bytes, str]:
        text = encoded(whole())
        return text, etag_of(text)

    @cache
    def html() -> bytes:
        return _drawn(whole()).encode()

    async def openapi(request: Request) -> Answer:
        return tagged(request, *body(), _CACHE)

    async def page(_request: Request) -> Answer:
        return content(html(), "text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})

    async def style(_request: Request) -> Answer:
        return content(sheet, "text/css; charset=utf-8", headers=_CACHE)

    own = [
        _open("/openapi.json", "openapi", "This document (OpenAPI 3.1).", openapi, "application/json"),
        _open("/docs", "docs", "This document as a page.", page, "text/html"),
        _open("/docs.css", "docsStyle", "The style of that page.", style, "text/css"),
    ]
    return own


def _open(path: str, name: str, summary: str, handler: Handler, media_type: str) -> Route:
    schema = {"type": "object"} if media_type == "application/json" else {"type": "string"}
    operation = Operation(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        tag="documentation",
        open_to_all=True,
        replies={200: Reply(description="The document.", schema=schema, media_types=(media_type,))},
    )
    return Route(operation, handler)


def _drawn(told: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    by_tag: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in told["tags"]}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append({"path": path, "method": method.upper(), **operation})
    return environment.get_template("docs.html").render(
        info=told["info"], by_tag=by_tag, schemas=told["components"]["schemas"]
    )

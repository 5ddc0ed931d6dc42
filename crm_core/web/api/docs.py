"""``/openapi.json``, and ``/docs``: the same as pages, drawn here, that need nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from quart import Response

from crm_core.services import Services
from crm_core.web.answers import encoded, etag_of, tagged
from crm_core.web.api.openapi import document
from crm_core.web.operations import Operation, Reply

_TEMPLATES: Final = Path(__file__).parent / "templates"
_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_CACHE: Final = {"Cache-Control": "no-cache"}
_STYLE: Final = Path(__file__).parent / "static" / "docs.css"


def operations(services: Services, documented: Sequence[Operation]) -> list[Operation]:
    """The document of these operations and its own, as JSON and as a page, each made at its first request."""
    sheet = _STYLE.read_bytes()

    @cache
    def made() -> dict[str, Any]:
        return document([*documented, *own], instance=services.settings.instance)

    @cache
    def body() -> tuple[bytes, str]:
        content = encoded(made())
        return content, etag_of(content)

    @cache
    def html() -> str:
        return _drawn(made())

    async def openapi() -> Response:
        return tagged(*body(), _CACHE)

    async def page() -> Response:
        return Response(html(), content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})

    async def style() -> Response:
        return Response(sheet, content_type="text/css; charset=utf-8", headers=_CACHE)

    own = [
        _open("/openapi.json", "openapi", "This document (OpenAPI 3.1).", openapi, "application/json"),
        _open("/docs", "docs", "This document as a page.", page, "text/html"),
        _open("/docs.css", "docsStyle", "The style of that page.", style, "text/css"),
    ]
    return own


def _open(path: str, name: str, summary: str, handler: Any, media_type: str) -> Operation:
    schema = {"type": "object"} if media_type == "application/json" else {"type": "string"}
    return Operation(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        tag="documentation",
        handler=handler,
        open_to_all=True,
        replies={200: Reply(description="The document.", schema=schema, media_types=(media_type,))},
    )


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

"""``/openapi.json``, and ``/docs``: the same as a page that loads nothing from another host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from crm_core.services import Services
from crm_core.web.answers import Answer, content, encoded, etag_of, tagged
from crm_core.web.api.openapi import document
from crm_core.web.operations import Route, open_route
from crm_core.web.request import Request

_TEMPLATES: Final = Path(__file__).parent / "templates"
_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_CACHE: Final = {"Cache-Control": "no-cache"}
_TAG: Final = "documentation"
_STYLE: Final = Path(__file__).parent / "static" / "docs.css"


def routes(services: Services, documented: Sequence[Route]) -> list[Route]:
    """The document of these routes and its own, as JSON and as a page, each built at its first request."""
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
        return _page(whole()).encode()

    async def openapi(request: Request) -> Answer:
        return tagged(request, *body(), _CACHE)

    async def page(_request: Request) -> Answer:
        return content(html(), "text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})

    async def style(_request: Request) -> Answer:
        return content(sheet, "text/css; charset=utf-8", headers=_CACHE)

    own = [
        open_route("/openapi.json", "openapi", "This document (OpenAPI 3.1).", openapi, tag=_TAG),
        open_route("/docs", "docs", "This document as a page.", page, tag=_TAG, media_type="text/html"),
        open_route("/docs.css", "docsStyle", "The style of that page.", style, tag=_TAG, media_type="text/css"),
    ]
    return own


def _page(api: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    by_tag: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in api["tags"]}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append({"path": path, "method": method.upper(), **operation})
    return environment.get_template("docs.html").render(
        info=api["info"], by_tag=by_tag, schemas=api["components"]["schemas"]
    )

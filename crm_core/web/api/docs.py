"""``/openapi.json``, ``/docs``: the same as a page that loads nothing from another host, and the page of error codes.

All are also below ``/i/{instance}``, where a manager forwards them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crm_core.errors import MisdirectedInstance
from crm_core.services import Services
from crm_core.web.answers import Answer, content, encoded, etag_of, tagged
from crm_core.web.api.error_codes import error_codes
from crm_core.web.api.openapi import document
from crm_core.web.loaded_later import LoadedLater
from crm_core.web.operations import INSTANCE, Handler, Route, open_route
from crm_core.web.request import Request

if TYPE_CHECKING:
    import jinja2

_TEMPLATES: Final = Path(__file__).parent / "templates"
_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_CACHE: Final = {"Cache-Control": "no-cache"}
_HTML: Final = "text/html; charset=utf-8"
_TAG: Final = "documentation"
_STYLE: Final = Path(__file__).parent / "static" / "docs.css"


def routes(services: Services, documented: Sequence[Route]) -> list[Route]:
    """The document of these routes and its own, as JSON and as a page, each made by a thread at its first request."""
    sheet, instance = _STYLE.read_bytes(), services.settings.instance

    @cache
    def whole() -> dict[str, Any]:
        operations = [route.operation for route in (*documented, *own)]
        codes = [entry.code for entry in error_codes(services.registry) if entry.code.endswith("_required")]
        return document(operations, instance=instance, secret_codes=codes)

    def made() -> tuple[bytes, str]:
        text = encoded(whole())
        return text, etag_of(text)

    def made_errors() -> bytes:
        entries = error_codes(services.registry)
        return _templates().get_template("errors.html").render(instance=instance, entries=entries).encode()

    body, errors_html = LoadedLater(made), LoadedLater(made_errors)
    html = LoadedLater(lambda: _page(whole(), instance).encode())

    async def openapi(request: Request) -> Answer:
        return tagged(request, *await body.get(), _CACHE)

    async def page(_request: Request) -> Answer:
        return content(await html.get(), _HTML, headers={"Content-Security-Policy": _POLICY})

    async def error_page(_request: Request) -> Answer:
        return content(await errors_html.get(), _HTML, headers={"Content-Security-Policy": _POLICY})

    async def style(_request: Request) -> Answer:
        return content(sheet, "text/css; charset=utf-8", headers=_CACHE)

    own = [
        *_at("", openapi, page, style),
        *_at(INSTANCE, openapi, page, style),
        open_route(
            f"{INSTANCE}/docs/errors",
            "get_instance_error_codes",
            "Every error code, where the `type` of a problem leads.",
            error_page,
            tag=_TAG,
            media_type="text/html",
            errors=(MisdirectedInstance,),
        ),
    ]
    return own


def _at(prefix: str, openapi: Handler, page: Handler, style: Handler) -> list[Route]:
    of, errors = ("instance_", (MisdirectedInstance,)) if prefix else ("", ())
    return [
        open_route(f"{prefix}/{path}", f"get_{of}{name}", summary, handler, tag=_TAG, media_type=kind, errors=errors)
        for path, name, summary, handler, kind in (
            ("openapi.json", "openapi", "This document (OpenAPI 3.1).", openapi, "application/json"),
            ("docs", "docs", "This document as a page.", page, "text/html"),
            ("docs.css", "docs_style", "The style of that page.", style, "text/css"),
        )
    ]


def _page(api: dict[str, Any], instance: str) -> str:
    by_tag: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in api["tags"]}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append({"path": path, "method": method.upper(), **operation})
    return (
        _templates()
        .get_template("docs.html")
        .render(info=api["info"], instance=instance, by_tag=by_tag, schemas=api["components"]["schemas"])
    )


def _templates() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )

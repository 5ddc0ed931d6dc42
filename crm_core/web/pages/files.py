"""What pages load: stylesheets, scripts, icons, the theme of a brand and the pictures it holds itself."""

from __future__ import annotations

from quart import Blueprint, Response, request

from crm_core.errors import MisdirectedInstance, NotFound
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.site import Site

_FOR_EVER = "public, max-age=31536000, immutable"
_PICTURE_POLICY = "default-src 'none'; sandbox"


def static_files(site: Site) -> Blueprint:
    """The static files of an instance, the same for all of its tenants."""
    made = Blueprint("static_files", __name__)

    @made.get("/i/<instance>/static/<version>/<name>", provide_automatic_options=False)
    async def static_file(instance: str, version: str, name: str) -> Response:
        if instance != site.services.settings.instance:
            raise MisdirectedInstance("This process serves another instance.")
        asset = site.assets.get(name)
        if asset is None:
            raise NotFound("There is no such file.")
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        answer = Response(asset.compressed if packed else asset.content, 200, content_type=asset.media_type)
        answer.headers["Vary"] = "Accept-Encoding"
        if packed:
            answer.headers["Content-Encoding"] = "gzip"
        # An older version's address gets the newer file, and must not keep it.
        answer.headers["Cache-Control"] = _FOR_EVER if version == site.assets.version else "no-cache"
        return answer

    return made


async def theme(context: AnonymousContext, revision: str) -> Response:
    """The stylesheet of the brand; only the address that pages name now is kept for ever."""
    made = Response(context.branding.sheet, 200, content_type="text/css; charset=utf-8")
    current = context.branding.theme == request.full_path and revision == str(context.branding.revision)
    made.headers["Cache-Control"] = _FOR_EVER if current else "no-store"
    return made


async def picture(context: AnonymousContext, name: str) -> Response:
    """A picture that branding holds itself."""
    found = context.branding.pictures.get(name)
    if found is None:
        raise NotFound("There is no such picture.")
    made = Response(found.content, 200, content_type=found.media_type)
    made.headers["Cache-Control"] = _FOR_EVER
    made.headers["Content-Security-Policy"] = _PICTURE_POLICY
    return made


async def frame(context: PageContext) -> Response:
    """A page with nothing in it: open pages take brand, menu and notices from here when a push has changed them."""
    return await page(context, "frame.html", request.args.get("current", "")[:64], None)

"""Files that pages load: stylesheets, scripts, icons, the theme of a brand and the images embedded in it."""

from __future__ import annotations

from crm_core.errors import MisdirectedInstance, NotFound
from crm_core.web.accept import prefers_gzip
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.guard import GuardedRoute
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.site import Site

_FOREVER = "public, max-age=31536000, immutable"
_PICTURE_POLICY = "default-src 'none'; sandbox"


def static_files(site: Site) -> GuardedRoute:
    """The static files of an instance, the same for all of its tenants."""

    async def static_file(instance: str, version: str, name: str) -> Response:
        if instance != site.services.settings.instance:
            raise MisdirectedInstance("This process serves another instance.")
        asset = site.assets.get(name)
        if asset is None:
            raise NotFound("There is no file at this address.")
        packed = prefers_gzip(request.headers.getlist("Accept-Encoding"))
        # The address of an older version gets the newer file, which must not be cached under it.
        caching = _FOREVER if version == site.assets.version else "no-cache"
        headers = {"Vary": "Accept-Encoding", "Cache-Control": caching}
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed if packed else asset.content, 200, headers, asset.media_type)

    return GuardedRoute("GET", "/i/{instance}/static/{version}/{name}", static_file)


async def theme(context: AnonymousContext, digest: str) -> Response:
    """The stylesheet of the brand; only its current address is cached forever."""
    caching = _FOREVER if digest == context.branding.theme_digest else "no-store"
    return Response(context.branding.sheet, 200, {"Cache-Control": caching}, "text/css; charset=utf-8")


async def picture(context: AnonymousContext, name: str) -> Response:
    """An image embedded in branding."""
    found = context.branding.pictures.get(name)
    if found is None:
        raise NotFound("There is no image at this address.")
    headers = {"Cache-Control": _FOREVER, "Content-Security-Policy": _PICTURE_POLICY}
    return Response(found.content, 200, headers, found.media_type)


async def frame(context: PageContext) -> Response:
    """An empty page: open pages fetch brand, menu and notices here after a push has changed them."""
    return await page(context, request.args.get("current", "")[:64], PageView("frame.html"))

"""The workspace in the browser; ``routes`` lists every page with the permission that it requires."""

from __future__ import annotations

from quart import Blueprint

from crm_core.web.pages.files import static_files
from crm_core.web.pages.guard import blueprint
from crm_core.web.pages.not_found import not_found_pages
from crm_core.web.pages.routes import ROUTES
from crm_core.web.pages.site import Site, site_of

__all__ = ["ROUTES", "Site", "pages", "site_of"]


def pages(site: Site) -> list[Blueprint]:
    """The blueprints of the workspace's pages and of the files that they load."""
    return [static_files(site), blueprint(site, ROUTES), not_found_pages(site)]

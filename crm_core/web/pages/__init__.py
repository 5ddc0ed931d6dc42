"""The workspace in the browser; ``routes`` lists every page with the permission that it requires."""

from __future__ import annotations

from crm_core.web.pages.files import static_files
from crm_core.web.pages.guard import guarded
from crm_core.web.pages.page_dispatcher import PageDispatcher
from crm_core.web.pages.routes import ROUTES
from crm_core.web.pages.site import Site, site_of

__all__ = ["ROUTES", "PageDispatcher", "Site", "pages", "site_of"]


def pages(site: Site) -> PageDispatcher:
    """What answers the requests for the workspace's pages and for the files that they load."""
    return PageDispatcher(site, [static_files(site), *guarded(site, ROUTES)])

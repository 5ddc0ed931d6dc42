"""The page for an address that belongs to no workspace: without a brand, since it has none."""

from __future__ import annotations

from crm_core.errors import CrmError, UnknownTenant
from crm_core.language import gettext, set_language
from crm_core.model.presentation import Appearance
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.assets import PLAIN_THEME
from crm_core.web.pages.layout.frame import AnonymousFrame
from crm_core.web.pages.outage import outage_page
from crm_core.web.pages.site import Site


def no_workspace(site: Site, error: CrmError) -> Response:
    """The page of an unknown tenant, or of an address outside of all tenants, in the browser's language."""
    set_language(site.services.languages.choose(request.accept_languages.values()))
    title = gettext("There is no page at this address.")
    text = gettext("Check the address, or ask the person who gave it to you.")
    if isinstance(error, UnknownTenant):
        title = gettext("There is no workspace at this address.")
        text = gettext("Its name may be misspelled, or the workspace was removed.") + " " + text
    brand = Appearance(title="CRM")
    frame = AnonymousFrame(root="", brand=brand, theme=site.renderer.asset(PLAIN_THEME), scheme="")
    return outage_page(site, frame, error, title=title.rstrip("."), text=text, away=None)

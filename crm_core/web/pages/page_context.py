"""One request of a browser: who asks, in which workspace, and how the answer is made."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from quart import Response, request

from crm_core.errors import AccessError
from crm_core.model.caller import Caller
from crm_core.services import Services
from crm_core.web.callers import lasting_origin, own_origin
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.frame import Confirmation, Frame, Undo, frame_of
from crm_core.web.pages.layout.names import People
from crm_core.web.pages.mail.sender import EmailSender
from crm_core.web.pages.site import Site
from crm_core.workspace import Workspace, keys_of, require

SAID: Final = "crm_said"
_SAID_FOR: Final = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """A signed-in user's request. ``root`` is the address of the tenant's pages, without a slash at its end."""

    site: Site
    tenant: str
    caller: Caller
    workspace: Workspace
    look: TenantBranding
    people: People = field(init=False)
    formats: Formats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "people", People(self.site.services, self.tenant, self.caller))
        object.__setattr__(self, "formats", Formats(self.look.manner, self.site.services.now()))

    @property
    def services(self) -> Services:
        """The use cases."""
        return self.site.services

    @property
    def root(self) -> str:
        """The address of the tenant's pages."""
        return self.site.root(self.tenant)

    @property
    def keys(self) -> frozenset[str]:
        """What the user may do."""
        return keys_of(self.workspace, self.caller)

    @property
    def sender(self) -> EmailSender:
        """Who sends the tenant's letters."""
        return EmailSender.within(self.site, self.workspace)

    def may(self, key: str, *, writes: bool = False) -> bool:
        """Whether the user may do what a feature key names, now."""
        try:
            require(self.workspace, self.caller, key, writes=writes)
        except AccessError:
            return False
        return True

    async def page(self, template: str, current: str, view: Any, status: int = 200) -> Response:
        """A page of the workspace; ``current`` names the menu item it belongs to."""
        said = self._said()
        frame = await frame_of(self, current, said)
        made = self.site.renderer.page(template, status, frame=frame, view=view)
        if said is not None:
            made.delete_cookie(SAID, path=self.root)
        return made

    async def frame(self, current: str) -> Frame:
        """What stands around a page."""
        return await frame_of(self, current, None)

    def go(self, path: str, said: str | None = None, undo: Undo | None = None) -> Response:
        """Send the browser on to a page, which then tells what was done."""
        made = Response("", 303)
        made.headers["Location"] = path if path.startswith(f"{self.root}/") else self.root + path
        made.headers["Cache-Control"] = "no-store"
        if said is not None:
            parts = astuple(undo) if undo else ()
            text = self.services.signed.make("said", self.tenant, said, *parts, lifetime=_SAID_FOR)
            secure = own_origin(self.services).startswith("https:")
            made.set_cookie(SAID, text, max_age=60, path=self.root, httponly=True, samesite="Lax", secure=secure)
        return made

    def address(self, path: str) -> str:
        """The full address of a page, for the one who asks; for letters there is ``lasting_address``."""
        return own_origin(self.services) + self.root + quote(path, safe="/")

    def lasting_address(self, path: str) -> str | None:
        """The full address of a page, for letters; None where the site's own address is not known."""
        origin = lasting_origin(self.services)
        return None if origin is None else origin + self.root + quote(path, safe="/")

    def _said(self) -> Confirmation | None:
        parts = self.services.signed.read("said", request.cookies.get(SAID, ""))
        if parts is None or parts[0] != self.tenant:
            return None
        action, member, value, revision, back = parts[2:] if len(parts) > 2 else ("", "", "", 0, "")
        undo = Undo(action=action, member=member, value=value, revision=revision, back=back) if action else None
        return Confirmation(text=parts[1], undo=undo)

"""Letters from pages: through the tenant's own server, in its brand, slowed down for who asks again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from crm_core.errors import InternalError
from crm_core.mail import DeliveryError, Email, Kind, MailBrand, MailServer, Step, mail_server, to_message
from crm_core.server_log import ServerLog
from crm_core.sync.apply import SEALED_FOR
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.site import Site
from crm_core.workspace import Workspace

SECTION: Final = "smtp"
_log = ServerLog("crm.mail")


class EmailSender:
    """Sends letters of one tenant."""

    def __init__(self, site: Site, tenant: str, branding: TenantBranding, server: MailServer | Kind) -> None:
        """``server``: or why there is none."""
        self._site = site
        self._tenant = tenant
        self._branding = branding
        self.server = server if isinstance(server, MailServer) else None
        self._lacks: Kind = "no_server" if isinstance(server, MailServer) else server

    @property
    def can_send(self) -> bool:
        """Whether there is a server and a sender."""
        return self.server is not None

    @property
    def brand(self) -> MailBrand:
        """What letters wear: the light theme, and a logo that any reader can load."""
        tokens, brand = self._branding.light, self._branding.brand
        return MailBrand(
            title=brand.title,
            primary=tokens["primary"],
            on_primary=tokens["on-primary"],
            text=tokens["text"],
            muted=tokens["muted"],
            background=tokens["bg"],
            logo=brand.logo if brand.logo.startswith("https:") else None,
            footer=brand.footer_text,
        )

    async def send(self, letter: Email, to: str) -> None:
        """Send a letter. Raises DeliveryError."""
        async for _ in self.steps(letter, to):
            pass

    async def steps(self, letter: Email, to: str) -> AsyncIterator[Step]:
        """Send a letter and tell each step. Raises DeliveryError."""
        if self.server is None:
            raise DeliveryError(self._lacks)
        self._slow_down(to)
        message = to_message(letter, self.brand, self.server, to=to, at=self._site.services.now())
        try:
            async for step in self._site.mailer.steps(self.server, message):
                yield step
        except DeliveryError as trouble:
            _log.warning("letter_not_delivered", tenant=self._tenant, trouble=trouble.kind)
            raise

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Send without keeping anybody waiting: how long it takes must not tell whether the address is known."""
        task = asyncio.create_task(self._quietly(work))
        self._site.sending.add(task)
        task.add_done_callback(self._site.sending.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except DeliveryError:
            return  # logged where it was raised; the one who asked was told nothing either way

    def _slow_down(self, to: str) -> None:
        name, now = f"{self._tenant} {to.lower()}", self._site.services.now().timestamp()
        if self._site.email_limits.wait(name, now) > 0:
            raise DeliveryError("busy")
        self._site.email_limits.add(name, now)


def sender_of(context: PageContext | AnonymousContext) -> EmailSender:
    """The sender of the emails of the workspace that a request is for."""
    return sender_within(context.site, context.workspace)


def sender_within(site: Site, workspace: Workspace) -> EmailSender:
    """The sender of the emails of a workspace."""
    return EmailSender(site, workspace.tenant, site.branding_cache.of(workspace), server_of(site, workspace))


def server_of(site: Site, workspace: Workspace) -> MailServer | Kind:
    """The mail server of a workspace with its password opened; or why nothing can be sent."""
    section = workspace.sections.get(SECTION)
    if section is None:
        return "no_server"
    sealed = section.sealed.get("/password")
    try:
        password = None if sealed is None else site.services.sealer.open(SEALED_FOR, sealed)
    except InternalError as error:  # sealed with a secret key that was taken out: pages go on without letters
        _log.warning("mail_password_sealed", tenant=workspace.tenant, mend=error.detail)
        return "sealed"
    return mail_server(section.data, password) or "no_server"

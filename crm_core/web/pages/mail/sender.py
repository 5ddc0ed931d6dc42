"""Emails sent from pages: through the tenant's own mail server, in its brand, with a limit per recipient."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from email.message import EmailMessage

from crm_core.errors import CrmError, InternalError
from crm_core.mail import DeliveryError, Email, FailureKind, MailBrand, MailServer, Step, mail_server, to_message
from crm_core.model.domains import comparable_address
from crm_core.server_log import ServerLog
from crm_core.sync.sections import SEALED_FOR
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.web.pages.site import Site
from crm_core.workspace import Workspace

_log = ServerLog("crm.mail")


class EmailSender:
    """Sends the emails of one tenant."""

    def __init__(self, site: Site, tenant: str, branding: TenantBranding, server: MailServer | FailureKind) -> None:
        """``server``: the tenant's mail server, or why there is none."""
        self._site = site
        self._tenant = tenant
        self._branding = branding
        self.server = server if isinstance(server, MailServer) else None
        self._lacks: FailureKind = "no_server" if isinstance(server, MailServer) else server

    @property
    def can_send(self) -> bool:
        """Whether there is a server and a sender address."""
        return self.server is not None

    @property
    def brand(self) -> MailBrand:
        """The brand of emails: the light theme, and the logo if it has a public URL."""
        tokens, brand = self._branding.light, self._branding.brand
        return MailBrand(
            title=self._branding.title,
            primary=tokens["primary"],
            on_primary=tokens["on-primary"],
            text=tokens["text"],
            muted=tokens["muted"],
            background=tokens["bg"],
            logo=brand.logo_url if (brand.logo_url or "")[:6].lower() == "https:" else None,
            footer=brand.footer_text or "",
        )

    async def send(self, email: Email, to: str) -> None:
        """Send an email. One that may be accepted later is sent again in the background.

        Raises:
            DeliveryError: it was not delivered; ``will_retry`` says whether it is sent again.
        """
        server, message = self._message(email, to)
        try:
            async for _ in self._delivering(server, message):
                pass
        except DeliveryError as error:
            error.will_retry = error.may_retry and self._site.mailer.can_retry
            if error.will_retry:
                self.send_later(self._try_again(email, to, server, message))
            raise

    async def steps(self, email: Email, to: str) -> AsyncIterator[Step]:
        """Send an email once and yield each completed step.

        Raises:
            DeliveryError: it was not delivered.
        """
        async for step in self._delivering(*self._message(email, to)):
            yield step

    def _message(self, email: Email, to: str) -> tuple[MailServer, EmailMessage]:
        written = self.written(email, to)
        self._throttle(to)
        return written

    def written(self, email: Email, to: str) -> tuple[MailServer, EmailMessage]:
        """The email as a message, and its server. Raises DeliveryError if there is none."""
        if self.server is None:
            raise DeliveryError(self._lacks)
        return self.server, to_message(email, self.brand, self.server, to=to, at=self._site.services.now())

    async def _delivering(self, server: MailServer, message: EmailMessage) -> AsyncIterator[Step]:
        try:
            async for step in self._site.mailer.steps(server, message):
                yield step
        except DeliveryError as error:
            self._log_failure(error)
            raise

    async def _try_again(self, email: Email, to: str, server: MailServer, message: EmailMessage) -> None:
        async def written() -> tuple[MailServer, EmailMessage]:
            """The same message, or, if other settings were pushed meanwhile, one by these."""
            sender = await loaded_sender_of(self._site, await self._site.services.views.of(self._tenant))
            return (server, message) if sender.server == server else sender.written(email, to)

        try:
            await self._site.mailer.try_again(written)
        except DeliveryError as error:
            self._log_failure(error)
            raise

    def _log_failure(self, error: DeliveryError) -> None:
        _log.warning("email_not_delivered", tenant=self._tenant, trouble=error.kind)

    def send_later(self, sending: Awaitable[None]) -> None:
        """Send in the background: the response time must not reveal whether the address is known."""
        task = asyncio.create_task(self._without_errors(sending))
        self._site.sending.add(task)
        task.add_done_callback(self._site.sending.discard)

    async def _without_errors(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except (DeliveryError, CrmError):
            return  # logged where it was raised, or the tenant is gone; the response is sent already

    def _throttle(self, to: str) -> None:
        name, now = f"{self._tenant} {comparable_address(to)}", self._site.services.now().timestamp()
        if self._site.email_limits.wait(name, now) > 0:
            raise DeliveryError("busy")
        self._site.email_limits.add(name, now)


def sender_of(site: Site, workspace: Workspace) -> EmailSender:
    """The sender of a workspace's emails."""
    return EmailSender(site, workspace.tenant, site.branding_cache.of(workspace), _server_of(site, workspace))


async def loaded_sender_of(site: Site, workspace: Workspace) -> EmailSender:
    """The sender of a workspace's emails, outside of a page's request."""
    await site.branding_cache.load(workspace)
    return sender_of(site, workspace)


def _server_of(site: Site, workspace: Workspace) -> MailServer | FailureKind:
    """The mail server of a workspace with its password decrypted; or why no email can be sent."""
    if workspace.withholds("mail_server"):
        return "unreadable"
    if workspace.mail_server is None:
        return "no_server"
    settings, section = workspace.mail_server
    sealed = section.sealed.get(settings.password or "")
    try:
        password = None if sealed is None else site.services.sealer.open(SEALED_FOR, sealed)
    except InternalError as error:  # the secret key was removed; pages must still work
        _log.warning("mail_password_sealed", tenant=workspace.tenant, fix=error.detail)
        return "sealed"
    return mail_server(settings, password) or "no_server"

"""Emails of pages: one that the server may accept later is sent again in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from crm_core.access.throttle import Buckets
from crm_core.mail import DeliveryError, Mailer, MailServer, delivery_test
from crm_core.model.presentation import Appearance, MailSettings, Regional
from crm_core.web.pages.layout.branding import BrandingCache
from crm_core.web.pages.mail.sender import EmailSender, sender_of

Serve = Callable[..., Awaitable[MailServer]]
Inbox = Any  # the class in conftest.py


class Pushed:
    """A workspace whose platform has pushed a mail server."""

    tenant, appearance, regional = "northwind", Appearance(), Regional()

    def __init__(self, server: MailServer) -> None:
        self.push(server)

    def push(self, server: MailServer) -> None:
        """Replace the mail server."""
        settings = MailSettings(
            host=server.host, port=server.port, security=server.security, from_email=server.from_email,
            from_name=server.from_name, timeout_seconds=server.timeout,
        )  # fmt: skip
        self.mail_server = settings, SimpleNamespace(sealed={})

    def withholds(self, _: str) -> bool:
        """Nothing is unreadable."""
        return False


def sender_through(pushed: Pushed, mailer: Mailer) -> tuple[EmailSender, set[asyncio.Task[None]]]:
    """A sender with what it uses of a site, and its emails in the background."""

    async def of(_: str) -> Pushed:
        return pushed

    tasks: set[asyncio.Task[None]] = set()
    site = SimpleNamespace(
        services=SimpleNamespace(now=lambda: datetime(2026, 11, 24, tzinfo=UTC), views=SimpleNamespace(of=of)),
        mailer=mailer,
        branding_cache=BrandingCache("eu1"),
        email_limits=Buckets(capacity=5, seconds=180.0),
        sending=tasks,
    )
    return sender_of(cast("Any", site), cast("Any", pushed)), tasks


async def test_a_delayed_email_arrives_from_the_background(serve: Serve, inbox: Inbox) -> None:
    """The sender learns of the delay and that the email is sent again; it arrives once."""
    inbox.replies = {"RCPT": ["451 4.7.1 Greylisted"] * 2}
    sender, tasks = sender_through(Pushed(await serve("none")), Mailer(allow_inside=True, retry_after=(0, 0)))
    with pytest.raises(DeliveryError) as raised:
        await sender.send(delivery_test(sender.brand, "Jana"), "jana@northwind.example")
    assert (raised.value.kind, raised.value.will_retry) == ("temporary", True)
    await asyncio.gather(*tasks)
    assert len(inbox.envelopes) == 1


async def test_a_rejected_email_is_not_sent_again(serve: Serve, inbox: Inbox) -> None:
    """Waiting does not change a rejection; a test email is sent once in any case."""
    sender, tasks = sender_through(Pushed(await serve("none")), Mailer(allow_inside=True, retry_after=(0,)))
    inbox.replies = {"RCPT": ["550 5.1.1 Unknown user"]}
    with pytest.raises(DeliveryError) as raised:
        await sender.send(delivery_test(sender.brand, "Jana"), "jana@northwind.example")
    assert not raised.value.will_retry
    inbox.replies = {"RCPT": ["451 4.7.1 Greylisted"]}
    with pytest.raises(DeliveryError):
        async for _ in sender.steps(delivery_test(sender.brand, "Jana"), "jana@northwind.example"):
            pass
    assert (tasks, inbox.envelopes) == (set(), [])


async def test_an_email_is_sent_again_by_the_settings_of_that_moment(serve: Serve, inbox: Inbox) -> None:
    """A push that corrects the mail server counts for the emails that wait."""
    pushed = Pushed(replace(await serve("none"), port=1))
    sender, tasks = sender_through(pushed, Mailer(allow_inside=True, retry_after=(0.01, 0.01)))
    with pytest.raises(DeliveryError) as raised:
        await sender.send(delivery_test(sender.brand, "Jana"), "jana@northwind.example")
    assert (raised.value.kind, raised.value.will_retry) == ("refused", True)
    pushed.push(replace(await serve("none"), from_email="new@northwind.example"))
    await asyncio.gather(*tasks)
    assert [envelope.mail_from for envelope in inbox.envelopes] == ["new@northwind.example"]

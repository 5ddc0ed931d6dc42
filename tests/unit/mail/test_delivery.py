from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from msgspec.structs import replace

from crm_core.mail import MailBrand, Mailer, MailServer, MailTrouble, mail_server, trial, written

BRAND = MailBrand(
    title="Northwind", primary="#0b5fff", on_primary="#ffffff", text="#111111", muted="#555555", background="#f6f8fb"
)
Serve = Callable[..., Awaitable[MailServer]]
Inbox = Any  # what the fixture keeps
LOGIN = ("crm@northwind.example", "right horse")


def letter(server: MailServer) -> EmailMessage:
    return written(trial(BRAND, "Jana"), BRAND, server, to="jana@northwind.example", at=datetime.now(UTC))


async def steps_of(mailer: Mailer, server: MailServer) -> list[str]:
    return [step async for step in mailer.steps(server, letter(server))]


async def trouble_of(mailer: Mailer, server: MailServer) -> tuple[list[str], MailTrouble]:
    told: list[str] = []
    try:
        async for step in mailer.steps(server, letter(server)):
            told.append(step)  # noqa: PERF401 -- what was told before the failure counts
    except MailTrouble as trouble:
        return told, trouble
    pytest.fail("the letter was delivered")


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_delivered(serve: Serve, inbox: Inbox, trusting: ssl.SSLContext, security: str) -> None:
    """A letter arrives whichever way the connection is encrypted, and each step is told in its order."""
    server = await serve(security, login=LOGIN)
    assert await steps_of(Mailer(allow_inside=True, tls=trusting), server) == list(server.steps)
    [envelope] = inbox.envelopes
    assert envelope.rcpt_tos == ["jana@northwind.example"]
    assert envelope.mail_from == "crm@northwind.example"
    assert b"Test mail from Northwind" in envelope.content


async def test_without_signing_in(serve: Serve, inbox: Inbox, trusting: ssl.SSLContext) -> None:
    """A server without a user name is not asked to sign in."""
    server = await serve("none")
    assert await steps_of(Mailer(allow_inside=True), server) == ["found", "connected", "accepted"]


async def test_unknown_name(serve: Serve) -> None:
    """A name without an address is told as that, before anything is connected to."""
    server = replace(await serve("none"), host="no-such-host.invalid")
    told, trouble = await trouble_of(Mailer(allow_inside=True), server)
    assert (told, trouble.kind) == ([], "dns")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "localhost", "0x7f000001", "2130706433", "::1", "::ffff:127.0.0.1"]
)
async def test_inside_addresses_are_not_connected_to(serve: Serve, inbox: Inbox, host: str) -> None:
    """However an address inside is spelled, and whatever name resolves to one, no connection is made."""
    server = replace(await serve("none"), host=host)
    told, trouble = await trouble_of(Mailer(allow_inside=False), server)
    assert (told, trouble.kind, inbox.envelopes) == ([], "inside", [])


async def test_refused(serve: Serve) -> None:
    """A port that nobody listens on is a refused connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = replace(await serve("none"), port=taken.getsockname()[1])
        told, trouble = await trouble_of(Mailer(allow_inside=True), server)
    assert (told, trouble.kind) == (["found"], "refused")


async def test_untrusted_certificate(serve: Serve) -> None:
    """A certificate of an unknown authority ends the delivery as a matter of TLS, before any password is sent."""
    for security in ("starttls", "tls"):
        told, trouble = await trouble_of(Mailer(allow_inside=True), await serve(security, login=LOGIN))
        assert (told, trouble.kind) == (["found", "connected"], "tls"), security


async def test_certificate_of_another_name(serve: Serve, trusting: ssl.SSLContext) -> None:
    """The certificate must be that of the host in the section."""
    server = replace(await serve("tls"), host="127.0.0.2")
    with socket.socket() as probe:
        reachable = probe.connect_ex(("127.0.0.2", server.port)) == 0
    _, trouble = await trouble_of(Mailer(allow_inside=True, tls=trusting), server)
    assert trouble.kind == ("tls" if reachable else "refused")


async def test_no_tls_where_it_is_asked_for(serve: Serve, trusting: ssl.SSLContext) -> None:
    """A server that offers no STARTTLS, or speaks plainly on a TLS port, gets no letter."""
    plain = await serve("none", login=LOGIN)
    for security in ("starttls", "tls"):
        _, trouble = await trouble_of(Mailer(allow_inside=True, tls=trusting), replace(plain, security=security))
        assert trouble.kind == "tls", security


async def test_wrong_password(serve: Serve, trusting: ssl.SSLContext) -> None:
    """A refused sign-in is told as such, with the server's words and without the password."""
    server = replace(await serve("starttls", login=LOGIN), password="wrong horse")
    told, trouble = await trouble_of(Mailer(allow_inside=True, tls=trusting), server)
    assert (told, trouble.kind) == (["found", "connected", "encrypted"], "authentication")
    assert "535" in trouble.said
    assert "horse" not in f"{trouble} {trouble.said} {server!r}"


async def test_signing_in_is_missing(serve: Serve) -> None:
    """A server that asks for a sign-in that the section does not have is a matter of authentication."""
    server = replace(await serve("none", login=LOGIN), username=None, password=None)
    _, trouble = await trouble_of(Mailer(allow_inside=True), server)
    assert trouble.kind in ("authentication", "sender")
    assert "530" in trouble.said


@pytest.mark.parametrize("kind", ["recipient", "sender", "content"])
async def test_rejections_are_told_apart(serve: Serve, inbox: Inbox, kind: str) -> None:
    """A rejected recipient, sender and message are three different things, each with the server's own words."""
    setattr(inbox, f"refuse_{kind}", True)
    told, trouble = await trouble_of(Mailer(allow_inside=True), await serve("none"))
    assert (told, trouble.kind) == (["found", "connected"], kind)
    assert trouble.said.startswith("55")


class Stranger(asyncio.Protocol):
    """A server that says one thing, or nothing, and listens to nothing."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._words:
            transport.write(self._words)
            transport.close()


@pytest.mark.parametrize(("words", "kind"), [(b"", "timeout"), (b"SSH-2.0-OpenSSH_9.9\x07 <script>\r\n", "protocol")])
async def test_no_mail_server(words: bytes, kind: str) -> None:
    """A server that keeps silent ends in a timeout; one that speaks something else is no mail server."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Stranger(words), "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = mail_server({"host": "127.0.0.1", "port": port, "security": "none", "from_email": "a@b.example"}, None)
        assert server is not None
        _, trouble = await trouble_of(Mailer(allow_inside=True), replace(server, timeout=1))
    assert trouble.kind == kind
    assert trouble.said.isprintable()


async def test_one_inside_address_is_enough_to_refuse(
    serve: Serve, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a public and an inside address is not connected to at all."""
    server = replace(await serve("none"), host="both.example")

    async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, 1, 6, "", (address, server.port)) for address in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    told, trouble = await trouble_of(Mailer(allow_inside=False), server)
    assert (told, trouble.kind, inbox.envelopes) == ([], "inside", [])


async def test_context_is_strict_by_default() -> None:
    """What is trusted by default checks host names and certificates."""
    context = ssl.create_default_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED

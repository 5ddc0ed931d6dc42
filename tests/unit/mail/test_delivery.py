from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from crm_core.mail import DeliveryError, MailBrand, Mailer, MailServer, delivery_test, mail_server, to_message
from crm_core.mail.resolve import connected
from crm_core.model.presentation import MailSettings
from loop_watch import LoopWatch

BRAND = MailBrand(
    title="Northwind", primary="#0b5fff", on_primary="#ffffff", text="#111111", muted="#555555", background="#f6f8fb"
)
Serve = Callable[..., Awaitable[MailServer]]
Inbox = Any  # the class in conftest.py
LOGIN = ("crm@northwind.example", "right horse")


def message_for(server: MailServer) -> EmailMessage:
    return to_message(delivery_test(BRAND, "Jana"), BRAND, server, to="jana@northwind.example", at=datetime.now(UTC))


async def steps_of(mailer: Mailer, server: MailServer) -> list[str]:
    return [step async for step in mailer.steps(server, message_for(server))]


async def failure_of(mailer: Mailer, server: MailServer) -> tuple[list[str], DeliveryError]:
    done: list[str] = []
    try:
        async for step in mailer.steps(server, message_for(server)):
            done.append(step)  # noqa: PERF401 -- the steps before the failure count
    except DeliveryError as error:
        return done, error
    pytest.fail("the email was delivered")


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_delivered(serve: Serve, inbox: Inbox, trusting: ssl.SSLContext, security: str) -> None:
    """An email arrives with every kind of encryption, and each step is reported in order."""
    server = await serve(security, login=LOGIN)
    assert await steps_of(Mailer(allow_inside=True, tls=trusting), server) == list(server.steps)
    [envelope] = inbox.envelopes
    assert envelope.rcpt_tos == ["jana@northwind.example"]
    assert envelope.mail_from == "crm@northwind.example"
    assert b"Test email from Northwind" in envelope.content


async def test_without_signing_in(serve: Serve, inbox: Inbox, trusting: ssl.SSLContext) -> None:
    """A server without a user name is not asked to sign in."""
    server = await serve("none")
    assert await steps_of(Mailer(allow_inside=True), server) == ["found", "connected", "accepted"]


async def test_the_event_loop_reads_no_list_of_authorities(serve: Serve) -> None:
    """A delivery with the system's authorities uses little of the loop's thread: they are read in another one."""
    server = await serve("none")
    longest = []
    for _ in range(3):  # other processes may slow one of them down
        with LoopWatch() as watch, watch.part() as found:
            await steps_of(Mailer(allow_inside=True), server)
        longest.append(found.seconds)
    assert min(longest) < 0.01


async def test_unknown_name(serve: Serve) -> None:
    """A name without an address fails as `dns`, before any step."""
    server = replace(await serve("none"), host="no-such-host.invalid")
    done, error = await failure_of(Mailer(allow_inside=True), server)
    assert (done, error.kind) == ([], "dns")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "localhost", "0x7f000001", "2130706433", "::1", "::ffff:127.0.0.1"]
)
async def test_inside_addresses_are_not_connected_to(serve: Serve, inbox: Inbox, host: str) -> None:
    """An inside address in any spelling, or a name that resolves to one, is not connected to."""
    server = replace(await serve("none"), host=host)
    done, error = await failure_of(Mailer(allow_inside=False), server)
    assert (done, error.kind, inbox.envelopes) == ([], "inside", [])


async def test_refused(serve: Serve) -> None:
    """A port without a listener fails as `refused`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = replace(await serve("none"), port=taken.getsockname()[1])
        done, error = await failure_of(Mailer(allow_inside=True), server)
    assert (done, error.kind) == (["found"], "refused")


def _open_files() -> list[str]:
    return [path.name for path in Path("/proc/self/fd").iterdir()]


@pytest.fixture
def silent() -> Iterator[Any]:
    """An address to which connections are neither accepted nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as others:
        for _ in range(4):  # until further ones have to wait
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        yield full.getsockname()


async def test_addresses_share_the_timeout(silent: Any) -> None:
    """Many that are silent take no longer than one, and do not keep an email from one that accepts."""
    async with asyncio.timeout(20):
        with pytest.raises(DeliveryError) as caught:
            await connected([(socket.AF_INET, silent)] * 1000, 0.5)
    assert caught.value.kind == "timeout"
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = await connected([(socket.AF_INET, silent), (socket.AF_INET, server.getsockname())], 2)
        with found:
            assert found.getpeername() == server.getsockname()


async def test_cancelled_while_connecting(silent: Any) -> None:
    """A delivery that is cancelled leaves no open connection."""
    before = _open_files()
    connecting = asyncio.create_task(connected([(socket.AF_INET, silent)], 5))
    await asyncio.sleep(0)
    assert len(_open_files()) > len(before)
    connecting.cancel()
    await asyncio.wait({connecting})
    assert connecting.cancelled()
    assert _open_files() == before


async def test_untrusted_certificate(serve: Serve) -> None:
    """A certificate of an unknown authority fails as `tls`, before any password is sent."""
    for security in ("starttls", "tls"):
        done, error = await failure_of(Mailer(allow_inside=True), await serve(security, login=LOGIN))
        assert (done, error.kind) == (["found", "connected"], "tls"), security


async def test_certificate_of_another_name(serve: Serve, trusting: ssl.SSLContext) -> None:
    """The certificate must be that of the host in the section."""
    server = replace(await serve("tls"), host="127.0.0.2")
    with socket.socket() as probe:
        reachable = probe.connect_ex(("127.0.0.2", server.port)) == 0
    _, error = await failure_of(Mailer(allow_inside=True, tls=trusting), server)
    assert error.kind == ("tls" if reachable else "refused")


async def test_encryption_is_required_where_configured(serve: Serve, trusting: ssl.SSLContext) -> None:
    """A server without STARTTLS, or without TLS on a TLS port, gets no email."""
    plain = await serve("none", login=LOGIN)
    for security in ("starttls", "tls"):
        _, error = await failure_of(Mailer(allow_inside=True, tls=trusting), replace(plain, security=security))
        assert error.kind == ("mismatch" if security == "tls" else "tls")
        assert "security" in error.fix


async def test_wrong_password(serve: Serve, trusting: ssl.SSLContext) -> None:
    """A refused sign-in fails as `authentication`, with the server's response and without the password."""
    server = replace(await serve("starttls", login=LOGIN), password="wrong horse")
    done, error = await failure_of(Mailer(allow_inside=True, tls=trusting), server)
    assert (done, error.kind) == (["found", "connected", "encrypted"], "authentication")
    assert "535" in error.response
    assert "horse" not in f"{error} {error.response} {server!r}"


async def test_signing_in_is_missing(serve: Serve) -> None:
    """A server that requires a sign-in fails with its response if the section has no user name."""
    server = replace(await serve("none", login=LOGIN), username=None, password=None)
    _, error = await failure_of(Mailer(allow_inside=True), server)
    assert error.kind == "sign_in_required"
    assert "530" in error.response


@pytest.mark.parametrize("kind", ["recipient", "sender", "content"])
async def test_rejections_differ_by_kind(serve: Serve, inbox: Inbox, kind: str) -> None:
    """A rejected recipient, sender and message are three kinds of failure, each with the server's response."""
    setattr(inbox, f"refuse_{kind}", True)
    done, error = await failure_of(Mailer(allow_inside=True), await serve("none"))
    assert (done, error.kind) == (["found", "connected"], kind)
    assert error.response.startswith("55")


class Stranger(asyncio.Protocol):
    """A server that sends one line, or nothing, and reads nothing."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._words:
            transport.write(self._words)
            transport.close()


@pytest.mark.parametrize(("words", "kind"), [(b"", "timeout"), (b"SSH-2.0-OpenSSH_9.9\x07 <script>\r\n", "protocol")])
async def test_no_mail_server(words: bytes, kind: str) -> None:
    """A silent server fails as `timeout`, one of another protocol as `protocol`."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Stranger(words), "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = mail_server(MailSettings(host="127.0.0.1", port=port, security="none", from_email="a@b.example"), None)
        assert server is not None
        _, error = await failure_of(Mailer(allow_inside=True), replace(server, timeout=1))
    assert error.kind == kind
    assert error.response.isprintable()


async def test_one_inside_address_is_enough_to_refuse(
    serve: Serve, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a public and an inside address is not connected to."""
    server = replace(await serve("none"), host="both.example")

    async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, 1, 6, "", (address, server.port)) for address in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    done, error = await failure_of(Mailer(allow_inside=False), server)
    assert (done, error.kind, inbox.envelopes) == ([], "inside", [])


@pytest.mark.parametrize("verb", [b"EHLO", b"MAIL", b"RCPT", b"DATA", b"."])
async def test_a_server_that_closes_after_its_greeting_is_tried_again(verb: bytes) -> None:
    """As one that is overloaded, or restarts, does it: the email is delayed, and not to a port of something else."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        replies = {b"EHLO": b"250 OK\r\n", b"MAIL": b"250 OK\r\n", b"RCPT": b"250 OK\r\n", b"DATA": b"354 go on\r\n"}
        while (line := await reader.readline()) and not line.startswith(verb):
            writer.write(replies.get(line[:4], b""))
        writer.close()

    async with await asyncio.start_server(converse, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = mail_server(MailSettings(host="127.0.0.1", port=port, security="none", from_email="a@b.example"), None)
        assert server is not None
        _, error = await failure_of(Mailer(allow_inside=True), server)
    assert (error.kind, error.may_retry) == ("temporary", True)


async def test_a_server_that_hangs_delays_no_other(serve: Serve, inbox: Inbox) -> None:
    """Each server has its own turns: emails of another tenant go out while all connections to one wait."""
    loop, mailer = asyncio.get_running_loop(), Mailer(allow_inside=True)
    async with await loop.create_server(lambda: Stranger(b""), "127.0.0.1", 0) as listening:
        working = await serve("none")
        hanging = replace(working, port=listening.sockets[0].getsockname()[1], timeout=60)
        waiting = [asyncio.create_task(steps_of(mailer, hanging)) for _ in range(20)]
        assert (await steps_of(mailer, working))[-1] == "accepted"
        await asyncio.sleep(0)
        refused = [task for task in waiting if task.done()]
        assert [cast("DeliveryError", task.exception()).kind for task in refused] == ["busy"] * 4
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    assert (await steps_of(mailer, working))[-1] == "accepted"

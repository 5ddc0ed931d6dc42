"""What an admin reads if a mail server refuses: the setting to check, whether it may be tried again, no password."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from msgspec.structs import replace

from crm_core.mail import DeliveryError, MailBrand, Mailer, MailServer, delivery_test, full_host_name, to_message

BRAND = MailBrand(
    title="Northwind", primary="#0b5fff", on_primary="#ffffff", text="#111111", muted="#555555", background="#f6f8fb"
)
Serve = Callable[..., Awaitable[MailServer]]
Inbox = Any  # the class in conftest.py
LOGIN = ("crm@northwind.example", "right horse")
UNICODE = ("crm@northwind.example", "6Xcf\u00a75c\u20acXR6z%")


async def failure_of(server: MailServer, **mailer: Any) -> DeliveryError:
    message = to_message(delivery_test(BRAND, "Jana"), BRAND, server, to="j@northwind.example", at=datetime.now(UTC))
    with pytest.raises(DeliveryError) as raised:
        async for _ in Mailer(allow_inside=True, **mailer).steps(server, message):
            pass
    return raised.value


async def deliver(server: MailServer, **mailer: Any) -> None:
    message = to_message(delivery_test(BRAND, "Jana"), BRAND, server, to="j@northwind.example", at=datetime.now(UTC))
    async for _ in Mailer(allow_inside=True, **mailer).steps(server, message):
        pass


def always(server: MailServer, message: EmailMessage) -> Callable[[], Awaitable[tuple[MailServer, EmailMessage]]]:
    """A message that no push changes."""

    async def written() -> tuple[MailServer, EmailMessage]:
        return server, message

    return written


@pytest.mark.parametrize(
    ("helo", "introduced"),
    [("crm.example.com", "crm.example.com"), ("[192.0.2.1]", "[192.0.2.1]"), (None, "[127.0.0.1]")],
)
async def test_the_name_in_ehlo(serve: Serve, inbox: Inbox, helo: str | None, introduced: str) -> None:
    """EHLO has the configured full name, else our address as a literal, never a bare machine name."""
    await deliver(await serve("none"), helo=helo)
    assert inbox.introduced == [introduced]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://crm.example.com", "crm.example.com"),
        ("https://crm.example.com.:8443", "crm.example.com"),
        ("http://192.0.2.7:8000", "[192.0.2.7]"),
        ("http://[2001:db8::7]:8000", "[IPv6:2001:db8::7]"),
        ("http://localhost:8000", None),
        ("http://crm.", None),
        (None, None),
    ],
)
def test_the_host_of_public_url_as_a_name(url: str | None, name: str | None) -> None:
    """A name with a dot, or an address literal (RFC 5321, section 4.1.3)."""
    assert full_host_name(url) == name


@pytest.mark.parametrize(
    ("verb", "reply", "kind"),
    [
        ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", "unencrypted"),
        ("MAIL", "451 5.7.3 STARTTLS is required to send mail", "unencrypted"),
        ("RCPT", "550 5.7.10 Encryption required", "unencrypted"),
        ("AUTH", "538 5.7.11 Not on this connection", "unencrypted"),
        ("AUTH", "530 5.7.0 Must issue a STARTTLS command first", "unencrypted"),
        ("MAIL", "451 4.7.1 Greylisted, try again in 5 minutes", "temporary"),
        ("RCPT", "450 4.2.0 Greylisted", "temporary"),
        ("DATA", "452 4.3.1 Insufficient system storage", "temporary"),
        ("AUTH", "454 4.7.0 Temporary authentication failure", "temporary"),
        ("MAIL", "421 4.7.0 Too many connections", "temporary"),
        ("AUTH", "504 5.5.4 Unrecognized authentication type", "no_sign_in"),
        ("AUTH", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "no_sign_in"),
        ("AUTH", "535 5.7.8 Authentication credentials invalid", "authentication"),
        ("AUTH", "534 5.7.9 Application-specific password required", "authentication"),
        ("AUTH", "432 4.7.12 A password transition is needed", "authentication"),
        ("MAIL", "553 5.7.1 Sender not owned by user", "sender"),
        ("DATA", "554 5.7.1 Message contains a link to tls.example", "content"),
    ],
)
async def test_a_reply_is_reported_as_its_cause(serve: Serve, inbox: Inbox, verb: str, reply: str, kind: str) -> None:
    """Encryption, sign-in, delays and real rejections are different settings to check."""
    inbox.replies = {verb: [reply] * 4}
    error = await failure_of(await serve("none", login=LOGIN))
    assert error.kind == kind
    assert error.response.startswith(reply[:3])
    assert error.may_retry == (kind == "temporary")
    if kind == "unencrypted":
        assert "security" in error.fix


@pytest.mark.parametrize(
    ("verb", "reply"),
    [("MAIL", "530 5.7.0 Authentication required"), ("RCPT", "554 5.7.1 <j@northwind.example>: Relay access denied")],
)
async def test_a_missing_sign_in_is_named(serve: Serve, inbox: Inbox, verb: str, reply: str) -> None:
    """Without user name and password the server's demand for them is no matter of sender or recipient."""
    inbox.replies = {verb: [reply]}
    error = await failure_of(await serve("none"))
    assert (error.kind, "username" in error.fix) == ("sign_in_required", True)


@pytest.mark.parametrize(
    ("offered", "response"),
    [("XOAUTH2", "It offers XOAUTH2."), ("GSSAPI OAUTHBEARER", "It offers GSSAPI, OAUTHBEARER."), ("", "no sign-in")],
)
async def test_no_sign_in_with_a_password_is_offered(serve: Serve, inbox: Inbox, offered: str, response: str) -> None:
    """The password is not blamed, and not sent."""
    inbox.sign_ins = offered
    error = await failure_of(await serve("none", login=LOGIN))
    assert error.kind == "no_sign_in"
    assert response in error.response
    assert "did not accept" not in error.what


async def test_sign_in_offered_only_after_starttls(serve: Serve, inbox: Inbox) -> None:
    """A server that shows AUTH on encrypted connections only is a matter of `security`."""
    inbox.sign_ins = ""
    server = replace(await serve("starttls", login=LOGIN), security="none")
    assert (await failure_of(server)).kind == "unencrypted"


@pytest.mark.parametrize("offered", ["LOGIN", "PLAIN", "PLAIN LOGIN XOAUTH2"])
async def test_passwords_outside_ascii_sign_in(
    serve: Serve, inbox: Inbox, trusting: ssl.SSLContext, offered: str
) -> None:
    """By PLAIN and by LOGIN, as UTF-8."""
    inbox.sign_ins = offered
    await deliver(await serve("starttls", login=UNICODE), tls=trusting)
    assert len(inbox.envelopes) == 1


async def test_a_password_outside_ascii_signs_in_by_cram_md5(
    serve: Serve, inbox: Inbox, trusting: ssl.SSLContext
) -> None:
    """As UTF-8; if it is wrong and the server repeats the digest, neither it nor the token is shown."""
    inbox.sign_ins, inbox.cram_password = "CRAM-MD5", UNICODE[1].encode()
    server = await serve("starttls", login=UNICODE)
    await deliver(server, tls=trusting)
    assert len(inbox.envelopes) == 1
    error = await failure_of(replace(server, password="another"), tls=trusting)
    assert error.kind == "authentication"
    assert error.response == "535 5.7.8 no: [redacted] [redacted]"


@pytest.mark.parametrize(
    "echo",
    [
        "535 5.7.8 Error: authentication failed: AUTH %",
        "501 5.5.4 Syntax error: %",
        "535 5.7.8 cannot read PLAIN AGNybUBub3J0aHdpbmQuZXhhbXBsZQByaWdodCBo",  # cut off
        f"535 5.7.8 bad password {base64.b64encode(b'right horse').decode()}",
        f"535 5.7.8 BAD PASSWORD {base64.b64encode(b'right horse').decode().upper()}",
        "535 5.7.8 no user has the password 'right horse'",
        "535 5.7.8 RIGHT HORSE is wrong",
        "535 5.7.8 right%20horse right+horse",
        "535-5.7.8 right\r\n535 5.7.8 right horse",
        f"535 5.7.8 {b'right horse'.hex()}",
    ],
)
async def test_a_repeated_password_is_redacted(serve: Serve, inbox: Inbox, echo: str) -> None:
    """Neither the password nor what it is sent as is shown; the rest of the server's reply is."""
    inbox.sign_ins, inbox.replies = "PLAIN", {"AUTH": [echo]}
    error = await failure_of(await serve("none", login=LOGIN))
    shown = error.response.lower()
    assert "[redacted]" in shown
    assert shown.startswith(echo[:3])
    plain = base64.b64encode(b"\0crm@northwind.example\0right horse").decode()
    for secret in ("right h", "ht horse", "horse is", plain[:12], plain[-12:], "cmlnahqgag", b"right horse".hex()):
        assert secret.lower() not in shown, secret


async def test_a_server_that_closes_after_a_wrong_password(serve: Serve, inbox: Inbox) -> None:
    """Its refusal counts, not the connection that is gone when the next method is tried."""
    inbox.replies, inbox.closes_after_refusal = {"AUTH": ["535 5.7.8 Bad credentials"]}, True
    error = await failure_of(await serve("none", login=LOGIN))
    assert (error.kind, error.response) == ("authentication", "535 5.7.8 Bad credentials")


async def test_a_short_password_is_redacted_as_a_word(serve: Serve, inbox: Inbox) -> None:
    """A password of one character is hidden where it is one, and the reply stays readable."""
    inbox.replies = {"AUTH": ["535 5.7.8 wrong password: x at mx.example"] * 4}
    error = await failure_of(await serve("none", login=("u", "x")))
    assert error.response == "535 5.7.8 wrong password: [redacted] at mx.example"


@pytest.mark.parametrize("verb", ["AUTH", "MAIL", "RCPT", "DATA"])
async def test_a_line_without_a_code_is_no_reply(serve: Serve, inbox: Inbox, verb: str) -> None:
    """The email is not blamed, nor the password: the other end does not speak SMTP."""
    inbox.replies = {verb: ["right horse, hello"] * 4}
    error = await failure_of(await serve("none", login=LOGIN))
    assert (error.kind, error.response) == ("protocol", "Malformed SMTP response line: [redacted], hello")


async def test_the_password_is_redacted_in_later_steps(serve: Serve, inbox: Inbox) -> None:
    """A server may repeat it whenever it likes."""
    inbox.replies = {"DATA": ["554 5.7.1 crm@northwind.example with right horse is blocked"]}
    error = await failure_of(await serve("none", login=LOGIN))
    assert error.response == "554 5.7.1 crm@northwind.example with [redacted] is blocked"


class Greeting(asyncio.Protocol):
    """A server that greets in its own way and says no more."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._words)
        transport.close()


@pytest.mark.parametrize(
    ("words", "kind"),
    [(b"421 4.3.2 Too busy\r\n", "temporary"), (b"554 5.7.1 Your address is blocked\r\n", "refused")],
)
async def test_a_greeting_that_refuses(serve: Serve, words: bytes, kind: str) -> None:
    """A server may refuse before the conversation begins (RFC 5321, section 3.1)."""
    async with await asyncio.get_running_loop().create_server(lambda: Greeting(words), "127.0.0.1", 0) as listening:
        server = replace(await serve("none"), port=listening.sockets[0].getsockname()[1])
        error = await failure_of(server)
    assert (error.kind, error.response[:3]) == (kind, words[:3].decode())


async def test_tls_where_the_server_greets_in_clear(serve: Serve, trusting: ssl.SSLContext) -> None:
    """`tls` on a port for `starttls` is named as that, not as a bad certificate."""
    error = await failure_of(replace(await serve("starttls"), security="tls"), tls=trusting)
    assert error.kind == "mismatch"


async def test_clear_where_the_server_expects_tls(serve: Serve) -> None:
    """A server that waits for TLS never greets; the message names `security`."""
    error = await failure_of(replace(await serve("tls"), security="starttls", timeout=1))
    assert (error.kind, "security" in error.fix) == ("timeout", True)


async def test_a_delayed_email_is_sent_again(serve: Serve, inbox: Inbox) -> None:
    """A server that delays the first attempts gets the email; there is one more attempt for each wait."""
    server = await serve("none")
    message = to_message(delivery_test(BRAND, "Jana"), BRAND, server, to="j@northwind.example", at=datetime.now(UTC))
    inbox.replies = {"RCPT": ["450 4.2.0 Greylisted"] * 2}
    await Mailer(allow_inside=True, retry_after=(0, 0, 0)).try_again(always(server, message))
    assert len(inbox.envelopes) == 1


@pytest.mark.parametrize(
    ("failure", "may_retry"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (TimeoutError(), True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
    ],
)
async def test_a_name_server_that_is_away_may_come_back(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, failure: OSError, may_retry: bool
) -> None:
    """A name that cannot be looked up now may be tried again, one that does not exist may not."""

    async def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    error = await failure_of(replace(await serve("none"), host="mail.northwind.example"))
    assert (error.kind, error.may_retry) == ("dns", may_retry)


async def test_sending_again_ends(serve: Serve, inbox: Inbox) -> None:
    """After the last wait the failure is final, and a rejection that waiting does not change ends it earlier."""
    server = await serve("none")
    message = to_message(delivery_test(BRAND, "Jana"), BRAND, server, to="j@northwind.example", at=datetime.now(UTC))
    for replies, left in ((["450 4.2.0 Greylisted"] * 5, 3), (["550 5.1.1 Unknown", "250 OK"], 1)):
        inbox.replies = {"RCPT": list(replies)}
        with pytest.raises(DeliveryError):
            await Mailer(allow_inside=True, retry_after=(0, 0)).try_again(always(server, message))
        assert len(inbox.replies["RCPT"]) == left
    assert inbox.envelopes == []

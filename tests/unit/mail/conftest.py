from __future__ import annotations

import asyncio
import hmac
import ssl
import warnings
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from crm_core.mail import MailServer


class Inbox:
    """A server's handler that stores what it accepts and refuses what a test sets."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.refuse_recipient = False
        self.refuse_sender = False
        self.refuse_content = False
        self.replies: dict[str, list[str]] = {}  # the next replies to MAIL, RCPT, DATA, AUTH
        self.sign_ins: str | None = None  # the methods that EHLO offers; None for the server's own
        self.closes_after_refusal = False  # of AUTH
        self.cram_password = b""  # what a server that knows CRAM-MD5 expects
        self.introduced: list[str] = []  # the names in EHLO

    def reply(self, verb: str) -> str | None:
        """The next scripted reply to a command."""
        queue = self.replies.get(verb)
        return queue.pop(0) if queue else None

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.introduced.append(hostname)
        session.host_name = hostname
        if self.sign_ins is not None:
            responses = [each for each in responses if not each[4:].startswith("AUTH")]
            if self.sign_ins:
                responses.insert(1, f"250-AUTH {self.sign_ins}")
        return responses

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802 -- aiosmtpd's name
        if (reply := self.reply("MAIL")) is not None:
            return reply
        if self.refuse_sender:
            return "553 5.7.1 Sender not owned by user"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802 -- aiosmtpd's name
        if (reply := self.reply("RCPT")) is not None:
            return reply
        if self.refuse_recipient:
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        if (reply := self.reply("DATA")) is not None:
            return reply
        if self.refuse_content:
            return "554 5.7.1 Looks like spam"
        self.envelopes.append(envelope)
        return "250 OK"


class Server(SMTP):
    """A mail server whose replies to AUTH a test may set; ``%`` in them is what the client sent."""

    async def auth_CRAM__MD5(self, _: SMTP, args: list[str]) -> AuthResult | None:  # noqa: N802 -- aiosmtpd's name
        """RFC 2195, which aiosmtpd leaves to its users; ``cram_reply`` is the reply to a digest, ``%`` the digest."""
        challenge = b"<1896.697170952@mail.test>"
        answer = await self.challenge_auth(challenge)
        if isinstance(answer, bytes):
            name, _, digest = answer.rpartition(b" ")
            login = (name.decode(), hmac.new(self.event_handler.cram_password, challenge, "md5").hexdigest())
            if login[1] == digest.decode():
                return AuthResult(success=True)
            await self.push(f"535 5.7.8 no: {digest.decode()} {b64encode(answer).decode()}")
        return AuthResult(success=False, handled=True)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 -- aiosmtpd's name
        reply = self.event_handler.reply("AUTH")
        if reply is None:
            await super().smtp_AUTH(arg)
        else:
            await self.push(reply.replace("%", arg))
            if self.event_handler.closes_after_refusal:
                assert self.transport is not None
                self.transport.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost and 127.0.0.1, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    path.write_bytes(pem)
    return path


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """A client's context that knows the certificate of the tests' servers."""
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


Serve = Callable[..., Awaitable[MailServer]]


@pytest.fixture
async def serve(inbox: Inbox, certificate: Path) -> AsyncIterator[Serve]:
    """Start a real mail server; ``security`` as in the smtp section, ``login`` the only user name and password."""
    started: list[asyncio.Server] = []
    conversations: list[SMTP] = []

    async def start(security: str = "none", login: tuple[str, str] | None = None, **wanted: Any) -> MailServer:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        options: dict[str, Any] = {"hostname": "mail.test"}
        if security == "starttls":
            options["tls_context"] = context
        if login is not None:
            options |= {"auth_required": True, "auth_require_tls": False, "authenticator": _only(login)}

        def converse() -> SMTP:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of signing in without TLS, which is what is tried
                conversations.append(Server(inbox, **options))
            return conversations[-1]

        server = await asyncio.get_running_loop().create_server(
            converse, "127.0.0.1", 0, ssl=context if security == "tls" else None
        )
        started.append(server)
        members = {
            "host": "127.0.0.1",
            "port": server.sockets[0].getsockname()[1],
            "security": security,
            "username": login[0] if login else None,
            "password": login[1] if login else None,
            "from_email": "crm@northwind.example",
            "from_name": "Northwind",
            "reply_to": None,
            "timeout": 20,
        }
        return MailServer(**{**members, **wanted})

    yield start
    for server in started:
        server.close()
    for conversation in conversations:
        if conversation.transport is not None:
            conversation.transport.abort()
    await asyncio.sleep(0.01)


def _only(login: tuple[str, str]) -> Callable[..., AuthResult]:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=good, handled=False)

    return check

"""The SMTP conversation over an open connection, and the error for each failure."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from ipaddress import IPv6Address, ip_address
from typing import Final

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from crm_core.mail.errors import DeliveryError, FailureKind
from crm_core.mail.redaction import redacted
from crm_core.mail.replies import kind_of
from crm_core.mail.server import MailServer, Step

_TLS_PORT: Final = 465  # RFC 8314: here the server expects TLS before it greets
_METHODS: Final = {"cram-md5": SMTP.auth_crammd5, "plain": SMTP.auth_plain, "login": SMTP.auth_login}
_REFUSALS: Final = 400  # replies from here on refuse; a line without a code is no reply
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


async def conversation(
    connection: socket.socket, server: MailServer, message: EmailMessage, tls: ssl.SSLContext, helo: str | None
) -> AsyncIterator[Step]:
    """Greet, encrypt, sign in, hand over; yield each step when it is done. Raises DeliveryError.

    ``helo``: our name for EHLO; None for an address literal.
    """
    client = SMTP(
        hostname=server.host.rstrip("."),
        sock=connection,
        use_tls=server.security == "tls",
        start_tls=False,
        tls_context=tls,
        local_hostname=helo or _address_literal(connection),
        timeout=server.timeout,
    )
    try:
        if server.security == "tls":
            yield "connected"  # the greeting comes encrypted
        await _greet(client, server)
        if server.security != "tls":
            yield "connected"
        if server.security == "starttls":
            await _encrypt(client, server)
        if server.security != "none":
            yield "encrypted"
        if server.signs_in:
            await _sign_in(client, server)
            yield "signed_in"
        await _hand_over(client, server, message)
        yield "accepted"
    finally:
        client.close()


def _address_literal(connection: socket.socket) -> str:
    """Our address as an address literal (RFC 5321, section 4.1.3)."""
    address = ip_address(connection.getsockname()[0].partition("%")[0])
    return f"[IPv6:{address}]" if isinstance(address, IPv6Address) else f"[{address}]"


async def _greet(client: SMTP, server: MailServer) -> None:
    try:
        await client.connect()
    except (SMTPException, OSError) as error:
        cause = error.__cause__ or error
        if server.security == "tls" and isinstance(cause, ssl.SSLError):
            raise DeliveryError("mismatch" if cause.reason in _NO_TLS else "tls", str(cause)) from error
        if server.security != "tls" and server.port == _TLS_PORT and not isinstance(error, SMTPResponseException):
            raise DeliveryError("mismatch") from error
        refused = isinstance(error, SMTPResponseException) and error.code >= _REFUSALS
        raise _error(error, "refused" if refused else "protocol", server) from error


async def _encrypt(client: SMTP, server: MailServer) -> None:
    try:
        await client.starttls()
    except (SMTPException, OSError) as error:
        raise _error(error, "tls", server) from error


async def _sign_in(client: SMTP, server: MailServer) -> None:
    assert server.username is not None
    assert server.password is not None
    try:
        await _introduce(client)
        if not client.supported_auth_methods:
            raise _not_offered(client, server)
        await _authenticate(client, server.username, server.password)
    except (SMTPException, OSError) as error:
        raise _error(error, "authentication", server) from error


async def _authenticate(client: SMTP, username: str, password: str) -> None:
    """Try each method that both know; the first refusal counts, also if the server then closes the connection."""
    refused: SMTPAuthenticationError | None = None
    for method in client.supported_auth_methods:
        try:
            await _METHODS[method](client, username, password)
        except SMTPAuthenticationError as error:
            refused = refused or error
        except (SMTPServerDisconnected, SMTPTimeoutError):
            if refused is None:
                raise
            break
        else:
            return
    assert refused is not None, "there is at least one method"
    raise refused


async def _introduce(client: SMTP) -> None:
    """EHLO, or HELO to a server that knows no extensions; after STARTTLS again (RFC 3207, section 4.2)."""
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except SMTPHeloError:
            if not client.is_connected:
                raise
            await client.helo()


def _not_offered(client: SMTP, server: MailServer) -> DeliveryError:
    """The error if no password sign-in is offered; many servers offer it on encrypted connections only."""
    offered = ", ".join(sorted({method.upper() for method in client.server_auth_methods}))
    if server.security == "none" and client.supports_extension("starttls"):
        return DeliveryError("unencrypted", "It offers STARTTLS.")
    return DeliveryError("no_sign_in", f"It offers {offered[:200]}." if offered else "It offers no sign-in at all.")


async def _hand_over(client: SMTP, server: MailServer, message: EmailMessage) -> None:
    try:
        [recipient] = [value for name, value in message.raw_items() if name == "To"]
        await client.sendmail(server.from_email, recipient, message.as_bytes())
    except SMTPRecipientsRefused as error:
        raise _error(error.recipients[0], "recipient", server) from error
    except (SMTPException, OSError) as error:
        raise _error(error, _refusal(error), server) from error
    try:
        await client.quit()
    except (SMTPException, OSError):
        return  # the server has accepted the email; its goodbye changes nothing


def _refusal(error: Exception) -> FailureKind:
    if isinstance(error, SMTPRecipientRefused):
        return "recipient"
    if isinstance(error, SMTPSenderRefused):
        return "sender"
    return "content" if isinstance(error, SMTPResponseException) else _broken_off(error)


def _broken_off(error: Exception) -> FailureKind:
    """The kind of a failure without a reply: a server that has greeted and then closes may accept the email later."""
    return "temporary" if isinstance(error, SMTPServerDisconnected) else "protocol"


def _error(error: Exception, phase: FailureKind, server: MailServer) -> DeliveryError:
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return DeliveryError("timeout")
    if not isinstance(error, SMTPResponseException):
        return DeliveryError(_broken_off(error) if phase == "authentication" else phase, _shown(str(error), server))
    if error.code < 0:  # a line without a code, which is no reply
        return DeliveryError("protocol", _shown(error.message, server))
    if isinstance(error, SMTPHeloError):
        phase = "helo"
    kind = kind_of(error.code, error.message, phase, server)
    return DeliveryError(kind, _shown(f"{error.code} {error.message}", server))


def _shown(text: str, server: MailServer) -> str:
    return redacted(text, server.username, server.password)

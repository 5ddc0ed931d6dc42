"""The SMTP conversation over an open connection, and which error each failure is."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPTimeoutError,
)

from crm_core.mail.errors import DeliveryError, Kind
from crm_core.mail.server import MailServer, Step


async def conversation(
    connection: socket.socket, server: MailServer, message: EmailMessage, tls: ssl.SSLContext
) -> AsyncIterator[Step]:
    """Greet, encrypt, sign in, hand over; yield each step when it is done. Raises DeliveryError."""
    client = SMTP(
        hostname=server.host.rstrip("."),
        sock=connection,
        use_tls=server.security == "tls",
        start_tls=False,
        tls_context=tls,
        local_hostname=socket.gethostname() or "localhost",
        timeout=server.timeout,
    )
    try:
        if server.security == "tls":
            yield "connected"  # the greeting comes encrypted
        await _greet(client, server)
        if server.security != "tls":
            yield "connected"
        if server.security == "starttls":
            await _encrypt(client)
        if server.security != "none":
            yield "encrypted"
        if server.username and server.password:
            await _sign_in(client, server.username, server.password)
            yield "signed_in"
        await _hand_over(client, message)
        yield "accepted"
    finally:
        client.close()


async def _greet(client: SMTP, server: MailServer) -> None:
    try:
        await client.connect()
    except (SMTPException, OSError) as error:
        cause = error.__cause__ or error
        if server.security == "tls" and isinstance(cause, ssl.SSLError):
            raise DeliveryError("tls", str(cause)) from error
        raise _error(error, "protocol") from error


async def _encrypt(client: SMTP) -> None:
    try:
        await client.starttls()
    except (SMTPException, OSError) as error:
        raise _error(error, "tls") from error


async def _sign_in(client: SMTP, username: str, password: str) -> None:
    try:
        await client.login(username, password)
    except (SMTPException, OSError) as error:
        # If the server offers no way to sign in, aiosmtplib raises without a response.
        raise _error(error, "authentication") from error


async def _hand_over(client: SMTP, message: EmailMessage) -> None:
    try:
        await client.send_message(message)
        await client.quit()
    except SMTPRecipientsRefused as error:
        raise _error(error.recipients[0], "recipient") from error
    except (SMTPException, OSError) as error:
        raise _error(error, _refusal(error)) from error


def _refusal(error: Exception) -> Kind:
    if isinstance(error, SMTPRecipientRefused):
        return "recipient"
    if isinstance(error, SMTPSenderRefused):
        return "sender"
    return "content" if isinstance(error, SMTPResponseException) else "protocol"


def _error(error: Exception, kind: Kind) -> DeliveryError:
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return DeliveryError("timeout")
    if isinstance(error, SMTPAuthenticationError):
        kind = "authentication"
    if isinstance(error, SMTPResponseException):
        return DeliveryError(kind, f"{error.code} {error.message}")
    return DeliveryError(kind, str(error))

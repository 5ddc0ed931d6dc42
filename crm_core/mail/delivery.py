"""The conversation with a mail server over a connection that is open already, and what each failure in it means."""

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

from crm_core.mail.server import MailServer, Step
from crm_core.mail.trouble import Kind, MailTrouble


async def conversation(
    connection: socket.socket, server: MailServer, message: EmailMessage, tls: ssl.SSLContext
) -> AsyncIterator[Step]:
    """Greet, encrypt, sign in, hand over; each step is told once it is done. Raises MailTrouble."""
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
            raise MailTrouble("tls", str(cause)) from error
        raise _trouble(error, "protocol") from error


async def _encrypt(client: SMTP) -> None:
    try:
        await client.starttls()
    except (SMTPException, OSError) as error:
        raise _trouble(error, "tls") from error


async def _sign_in(client: SMTP, username: str, password: str) -> None:
    try:
        await client.login(username, password)
    except (SMTPException, OSError) as error:
        # A server that offers no way to sign in raises without a response of its own.
        raise _trouble(error, "authentication") from error


async def _hand_over(client: SMTP, message: EmailMessage) -> None:
    try:
        await client.send_message(message)
        await client.quit()
    except SMTPRecipientsRefused as error:
        raise _trouble(error.recipients[0], "recipient") from error
    except (SMTPException, OSError) as error:
        raise _trouble(error, _refusal(error)) from error


def _refusal(error: Exception) -> Kind:
    if isinstance(error, SMTPRecipientRefused):
        return "recipient"
    if isinstance(error, SMTPSenderRefused):
        return "sender"
    return "content" if isinstance(error, SMTPResponseException) else "protocol"


def _trouble(error: Exception, kind: Kind) -> MailTrouble:
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return MailTrouble("timeout")
    if isinstance(error, SMTPAuthenticationError):
        kind = "authentication"
    if isinstance(error, SMTPResponseException):
        return MailTrouble(kind, f"{error.code} {error.message}")
    return MailTrouble(kind, str(error))

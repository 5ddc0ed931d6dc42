"""The addresses of a mail server: looked up once, every one checked, and only checked ones connected to."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

from crm_core.mail.trouble import MailTrouble
from crm_core.model.hosts import is_inside, literal_address

Endpoint = tuple[socket.AddressFamily, tuple[str, int]]


async def endpoints(host: str, port: int, *, allow_inside: bool, timeout: float) -> list[Endpoint]:
    """Where the server can be reached. Raises MailTrouble (dns, inside, timeout).

    Connecting to what is returned, and never to the name again, is what keeps a name that changes between check and
    connection from reaching into the network.
    """
    literal = literal_address(host)
    name = str(literal) if literal is not None else host
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (socket.gaierror, UnicodeError) as error:
        raise MailTrouble("dns", getattr(error, "strerror", "") or "") from None
    except TimeoutError:
        raise MailTrouble("dns", "The name server did not answer in time.") from None
    addresses = [(family, str(where[0])) for family, _, _, _, where in found]
    if not addresses:
        raise MailTrouble("dns")
    # One inside address among public ones is enough to refuse: the choice must not be the name server's.
    if not allow_inside and any(is_inside(ip_address(address.partition("%")[0])) for _, address in addresses):
        raise MailTrouble("inside")
    return [(family, (address, port)) for family, address in addresses]


async def connected(found: list[Endpoint], timeout: float) -> socket.socket:
    """A connection to the first address that takes one. Raises MailTrouble (refused, timeout)."""
    loop = asyncio.get_running_loop()
    trouble = MailTrouble("refused")
    for family, address in found:
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
        try:
            async with asyncio.timeout(timeout):
                await loop.sock_connect(connection, address)
            return connection
        except TimeoutError:
            trouble = MailTrouble("timeout")
        except OSError as error:
            trouble = MailTrouble("refused", error.strerror or "")
        connection.close()
    raise trouble

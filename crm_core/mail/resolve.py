"""The addresses of a mail server: looked up once and checked, and connections to them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from ipaddress import ip_address
from urllib.parse import urlsplit

from crm_core.mail.errors import DeliveryError
from crm_core.model.hosts import is_inside, literal_address

Endpoint = tuple[socket.AddressFamily, tuple[str, int]]


async def endpoints(host: str, port: int, *, allow_inside: bool, timeout: float) -> list[Endpoint]:
    """The checked addresses of a server. Raises DeliveryError (dns, inside).

    Connect to these only: the name could resolve to an inside address the next time.
    """
    literal = literal_address(host)
    name = str(literal) if literal is not None else host
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            resolved = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        raise DeliveryError("dns", error.strerror or "", passing=error.errno == socket.EAI_AGAIN) from None
    except UnicodeError:
        raise DeliveryError("dns") from None
    except TimeoutError:
        raise DeliveryError("dns", "The name server did not answer in time.", passing=True) from None
    addresses = [(family, str(address[0])) for family, _, _, _, address in resolved]
    if not addresses:
        raise DeliveryError("dns")
    # One inside address is enough to refuse, or the name server could choose it.
    if not allow_inside and any(is_inside(ip_address(address.partition("%")[0])) for _, address in addresses):
        raise DeliveryError("inside")
    return [(family, (address, port)) for family, address in addresses]


def full_host_name(url: str | None) -> str | None:
    """The host of a URL as EHLO wants it: a name with a dot, or an address literal; None if it is neither.

    RFC 5321, section 4.1.4: a bare machine name says nothing to a mail server, and many refuse it.
    """
    host = urlsplit(url).hostname if url else None
    if host is None:
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return host.rstrip(".") if "." in host.rstrip(".") else None
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


async def connected(candidates: list[Endpoint], timeout: float) -> socket.socket:
    """A connection to the first address that accepts one. Raises DeliveryError (refused, timeout).

    The addresses share the seconds of ``timeout``: large providers have eight, and a firewall may drop packets to all.
    """
    loop = asyncio.get_running_loop()
    failure, end = DeliveryError("refused"), loop.time() + timeout
    for tried, (family, address) in enumerate(candidates):
        with ExitStack() as stack:
            connection = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            connection.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
            try:
                async with asyncio.timeout((end - loop.time()) / (len(candidates) - tried)):
                    await loop.sock_connect(connection, address)
            except TimeoutError:
                failure = DeliveryError("timeout")
            except OSError as error:
                failure = DeliveryError("refused", error.strerror or "")
            else:
                stack.pop_all()
                return connection
    raise failure

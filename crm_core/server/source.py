"""The address that a request comes from, according to trusted proxies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from crm_core.model.sources import Network, plain_address, within
from crm_core.server.asgi import Scope

UNIX: Final = "unix"
"""The source of a request that came through a unix socket."""

_SCHEMES: Final = (b"http", b"https")
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})


def peer_of(scope: Scope) -> str:
    """Return the address at the other end of the connection, or ``unix``; ``scope`` is an ASGI scope."""
    client = scope.get("client")
    return plain_address(str(client[0])) or str(client[0]) if client else UNIX


def source_of(peer: str, headers: Iterable[tuple[bytes, bytes]], proxies: Sequence[Network]) -> str | None:
    """Return the rightmost address that is not a trusted proxy's, ``unix``, or None if it cannot be read.

    Any client could have written the part of X-Forwarded-For to the left of it.
    """
    source: str | None = peer
    if not proxies or not within(source, proxies):
        return source
    hops = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
    for hop in reversed([hop.strip() for hop in hops.split(",") if hop.strip()]):
        source = _bare(hop)
        if not within(source, proxies):
            return source
    return source


def scheme_of(scope: Scope, peer: str, proxies: Sequence[Network]) -> str:
    """Return the client's scheme: as a trusted proxy states it, else that of the connection.

    Of several fields the last one counts, since any client could have sent the others.
    """
    if proxies and within(peer, proxies):
        stated = next((value for name, value in reversed(scope["headers"]) if name == b"x-forwarded-proto"), b"")
        if stated in _SCHEMES:
            return stated.decode()
    return str(scope["scheme"])


def is_operator(
    peer: str, headers: Sequence[tuple[bytes, bytes]], *, proxies: Sequence[Network], operators: Sequence[Network]
) -> bool:
    """Whether a request comes from one of ``operators``.

    A request that an untrusted proxy forwarded does not: its address is the proxy's, often loopback, and every client
    would be an operator.
    """
    forwarded = any(name in _FORWARDED for name, _ in headers)
    if forwarded and not within(peer, proxies):
        return False
    return within(source_of(peer, headers, proxies), operators)


def is_own_host(host: str, public: str | None = None) -> bool:
    """Whether the value of a Host field is an address, localhost, or the host of the origin ``public``.

    A page of another site can lead an operator's own browser here, under a name of that site that it resolves to this
    address (DNS rebinding), and read what is returned.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return plain_address(name) is not None or name in ("localhost", public and urlsplit(public).hostname)


def _bare(hop: str) -> str | None:
    """Return an address without brackets and port; None if it is not one."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return plain_address(hop)

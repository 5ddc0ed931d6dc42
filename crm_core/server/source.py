"""Where a request comes from, as far as proxies can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from crm_core.model.sources import Network, plain_address, within

UNIX: Final = "unix"
"""The source of a request that came through a unix socket."""

_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})


def peer_of(scope: Any) -> str:
    """The address at the other end of the connection, or ``unix``; ``scope`` is an ASGI scope."""
    client = scope.get("client")
    return plain_address(str(client[0])) or str(client[0]) if client else UNIX


def source_of(scope: Any, proxies: Sequence[Network]) -> str | None:
    """The rightmost address that is not a trusted proxy's: an address as text, ``unix``, or None where none is told.

    What stands left of it in X-Forwarded-For anybody could have written.
    """
    source: str | None = peer_of(scope)
    if not proxies or not within(source, proxies):
        return source
    told = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
    for hop in reversed([hop.strip() for hop in told.split(",") if hop.strip()]):
        source = _bare(hop)
        if not within(source, proxies):
            return source
    return source


def is_operator(scope: Any, *, proxies: Sequence[Network], operators: Sequence[Network]) -> bool:
    """Whether a request comes from one of ``operators``.

    One that was forwarded by a proxy that nobody trusts does not: the proxy's own address, loopback as a rule, would
    pass the whole world for an operator.
    """
    forwarded = any(name in _FORWARDED for name, _ in scope["headers"])
    if forwarded and not within(peer_of(scope), proxies):
        return False
    return within(source_of(scope, proxies), operators)


def _bare(hop: str) -> str | None:
    """An address without brackets and port; None where it is no address."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return plain_address(hop)

"""Sources of requests: addresses in one spelling, the networks that contain them, and their names in limits.

An IPv4 address written as IPv6 (``::ffff:10.0.0.1``, RFC 4291 section 2.5.5.2) is the IPv4 address everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

Network = IPv4Network | IPv6Network | Literal["unix"]
"""Where a request may come from; ``unix`` names the peers of a unix socket."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_V6_PREFIX: Final = 64  # one customer's network, whose addresses are all the customer's


def within(source: str | None, networks: Iterable[Network]) -> bool:
    """Whether a source is in one of the networks.

    ``source`` is an address as text, ``unix`` for a socket peer, or None if it is unknown (in no network).
    """
    if source is None:
        return False
    if source == "unix":
        return any(network == "unix" for network in networks)
    address = _address(source)
    return address is not None and any(network != "unix" and address in network for network in networks)


@lru_cache(maxsize=1024)  # of each request's peer
def plain_address(text: str) -> str | None:
    """An address in its one spelling (RFC 5952); None if the text is no address."""
    address = _address(text)
    return None if address is None else str(address)


def plain_network(text: str, *, strict: bool = True) -> IPv4Network | IPv6Network:
    """The network that a text in CIDR form names.

    Raises:
        ValueError: it names none; or, if ``strict``, has bits set beyond its mask.
    """
    network = ip_network(text, strict=strict)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None
        return IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network


def counted_as(source: str | None) -> str:
    """The name by which limits count a source: an IPv4 address, the /64 of an IPv6 one, ``unix``, or ``unknown``."""
    if source == "unix":
        return source
    address = _address(source or "")
    if address is None:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _V6_PREFIX), strict=False))
    return str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    # Without the zone (fe80::1%eth0), which names a link of this machine and may be any text.
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address

"""Checks for internal mail hosts: private, loopback, link-local and others, in every spelling."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_NAT64 = ip_network("64:ff9b::/96")
_INSIDE_NAMES = ("localhost", "localdomain")

Address = IPv4Address | IPv6Address


def literal_address(host: str) -> Address | None:
    """The address that ``host`` spells, also as inet_aton reads it (``127.1``, ``0x7f000001``); None for a name."""
    plain = host.removeprefix("[").removesuffix("]").rstrip(".")
    try:
        return ip_address(plain)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(plain))
    except (OSError, UnicodeEncodeError, ValueError):
        return None


def is_inside(address: Address) -> bool:
    """Whether an address is not a public one."""
    if isinstance(address, IPv6Address):
        embedded = address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            embedded = IPv4Address(int(address) & 0xFFFFFFFF)
        if address.ipv4_mapped is not None or address.is_site_local or (int(address) >> 32) == 0:
            return True
        if embedded is not None and is_inside(embedded):
            return True
    return not address.is_global or address.is_multicast or address.is_reserved


def is_inside_host(host: str) -> bool:
    """Whether a host, by its spelling alone, is internal. Other names are checked once they are resolved."""
    address = literal_address(host)
    if address is not None:
        return is_inside(address)
    return host.rstrip(".").lower().split(".")[-1] in _INSIDE_NAMES

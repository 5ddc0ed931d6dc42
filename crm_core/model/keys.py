"""The key roster as values: which keys a tenant's platform may sign with, when, from where and for what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

KeyState = Literal["staged", "active", "expired", "revoked"]
Network = IPv4Network | IPv6Network | Literal["unix"]
"""Where a request may come from; ``unix`` names the peers of a unix socket."""


def within(source: str | None, networks: Iterable[Network]) -> bool:
    """Whether a source is in one of the networks.

    ``source`` is an address as text, ``unix`` for a socket peer, or None where it is not known (which is nowhere).
    An IPv4 address written as IPv6 (``::ffff:10.0.0.1``, RFC 4291 section 2.5.5.2) counts as the IPv4 address.
    """
    if source is None:
        return False
    if source == "unix":
        return any(network == "unix" for network in networks)
    address = _address(source)
    return address is not None and any(network != "unix" and address in network for network in networks)


def _address(source: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(source)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a tenant. ``types`` (sections) and ``sources`` are None where the roster does not narrow them."""

    version: int
    secret: bytes = field(repr=False)
    not_before: datetime | None = None
    not_after: datetime | None = None
    revoked: bool = False
    types: frozenset[str] | None = None
    sources: tuple[Network, ...] | None = None

    @property
    def fingerprint(self) -> str:
        """``sha256:`` and the first 16 hex digits of SHA-256 over the key's bytes: safe to show and to compare."""
        return "sha256:" + hashlib.sha256(self.secret).hexdigest()[:16]

    def state(self, now: datetime) -> KeyState:
        """What the key is at ``now`` (aware). ``not_before`` is its first active moment, ``not_after`` its last."""
        if self.revoked:
            return "revoked"
        if self.not_before is not None and now < self.not_before:
            return "staged"
        if self.not_after is not None and now > self.not_after:
            return "expired"
        return "active"

    def admits(self, section: str) -> bool:
        """Whether the key may push this section."""
        return self.types is None or section in self.types

    def comes_from(self, source: str | None) -> bool:
        """Whether the key may be used from this source (see ``within``)."""
        return self.sources is None or within(source, self.sources)


@dataclass(frozen=True, slots=True)
class TenantRoster:
    """A tenant's entry. ``schemes`` None: every scheme there is. ``expect_every``: health turns stale past it."""

    enabled: bool = True
    schemes: frozenset[str] | None = None
    repeats: Literal["reject", "accept"] = "reject"
    expect_every: timedelta | None = None
    keys: Mapping[int, Key] = field(default_factory=dict)

    def active(self, now: datetime) -> tuple[Key, ...]:
        """The keys active at ``now``, the highest version first."""
        return tuple(
            self.keys[version]
            for version in sorted(self.keys, reverse=True)
            if self.keys[version].state(now) == "active"
        )


NO_ENTRY = TenantRoster(enabled=False)


@dataclass(frozen=True, slots=True)
class Roster:
    """Every tenant's entry by name."""

    tenants: Mapping[str, TenantRoster]

    def of(self, tenant: str) -> TenantRoster:
        """The tenant's entry; a tenant without one has a receiver that is disabled."""
        return self.tenants.get(tenant, NO_ENTRY)

"""The key roster as values: the keys with which a tenant's platform may sign, and their limits."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from crm_core.model.recent import cached
from crm_core.model.sources import Network, within

KeyKind = Literal["secret", "public"]
"""The kinds of key: a secret that both sides have, or the public half of the platform's own key."""

KeyState = Literal["staged", "active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a tenant. ``material``: its bytes, which ``kind`` says how to use.

    ``types`` (sections), ``sources`` and ``schemes`` are None if the roster does not narrow them.
    """

    version: int
    material: bytes = field(repr=False)
    not_before: datetime | None = None
    not_after: datetime | None = None
    revoked: bool = False
    types: frozenset[str] | None = None
    sources: tuple[Network, ...] | None = None
    schemes: frozenset[str] | None = None
    kind: KeyKind = "secret"

    @property
    def fingerprint(self) -> str:
        """``sha256:`` and the first 16 hex digits of SHA-256 over the key's bytes: safe to show and to compare."""
        return "sha256:" + hashlib.sha256(self.material).hexdigest()[:16]

    def state(self, now: datetime) -> KeyState:
        """The state at ``now`` (aware). ``not_before`` is its first active moment, ``not_after`` its last."""
        if self.revoked:
            return "revoked"
        if self.not_before is not None and now < self.not_before:
            return "staged"
        if self.not_after is not None and now > self.not_after:
            return "expired"
        return "active"

    def serves(self, scheme: str, kinds: Collection[KeyKind]) -> bool:
        """Whether a scheme that verifies keys of these kinds may use the key."""
        return self.kind in kinds and (self.schemes is None or scheme in self.schemes)

    def admits(self, section: str) -> bool:
        """Whether the key may push this section."""
        return self.types is None or section in self.types

    def comes_from(self, source: str | None) -> bool:
        """Whether the key may be used from this source (see ``sources.within``)."""
        return self.sources is None or within(source, self.sources)


class TenantRoster(msgspec.Struct, frozen=True, dict=True):
    """A tenant's entry. ``schemes`` None: every scheme. ``expect_every``: health is stale after a longer pause."""

    enabled: bool = True
    schemes: frozenset[str] | None = None
    repeats: Literal["reject", "accept"] = "reject"
    expect_every: timedelta | None = None
    keys: Mapping[int, Key] = msgspec.field(default_factory=dict)

    @cached
    def revoked(self) -> frozenset[int]:
        """The versions of revoked keys: what they pushed does not count for the version floor."""
        return frozenset(key.version for key in self.keys.values() if key.revoked)

    def active(self, now: datetime) -> tuple[Key, ...]:
        """The keys active at ``now``, the highest version first."""
        return tuple(
            self.keys[version]
            for version in sorted(self.keys, reverse=True)
            if self.keys[version].state(now) == "active"
        )


NO_ENTRY = TenantRoster(enabled=False)


class Roster(msgspec.Struct, frozen=True):
    """Every tenant's entry by name."""

    tenants: Mapping[str, TenantRoster]

    def of(self, tenant: str) -> TenantRoster:
        """The tenant's entry; a tenant without one has a receiver that is disabled."""
        return self.tenants.get(tenant, NO_ENTRY)

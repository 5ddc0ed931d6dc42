"""The edits of keys.yaml that a key rotation makes."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from crm_core.cli.roster_text import KeyText, with_key, with_member, with_tenants
from crm_core.errors import SetupError
from crm_core.model.keys import Key, KeyKind, TenantRoster

_KEY_BYTES = 32


def fresh_secret(form: Literal["base64", "hex", "whsec"] = "base64") -> str:
    """A secret of 32 random bytes, as keys.yaml accepts it."""
    raw = secrets.token_bytes(_KEY_BYTES)
    if form == "hex":
        return "hex:" + raw.hex()
    return ("base64:" if form == "base64" else "whsec_") + base64.b64encode(raw).decode()


class Ending(msgspec.Struct, frozen=True):
    """The one member of an earlier key that a rotation sets, and the sentence for it."""

    version: int
    member: str
    value: str
    words: str


class Rotation(msgspec.Struct, frozen=True):
    """A tenant's next key. ``entry`` None: keys.yaml has none; ``overlap`` None: the earlier keys are revoked.

    ``reference``: the new key as keys.yaml has it, of this ``kind``. ``schemes``: those that verify keys of the kind.
    ``used``: the highest version in the tenant's sync log, which must not be used again: in log and history two keys
    would be one.
    """

    tenant: str
    entry: TenantRoster | None
    reference: str
    overlap: timedelta | None
    now: datetime
    schemes: Collection[str]
    kind: KeyKind = "secret"
    used: int = 0

    @property
    def version(self) -> int:
        """The new key's version."""
        return max(self.used, *(self.entry.keys if self.entry else ()), 0) + 1

    @property
    def follows(self) -> Key | None:
        """The key whose limits the new one gets: the newest that has not ended, else the newest; None if none."""
        keys = tuple(self.entry.keys.values()) if self.entry else ()
        current = tuple(key for key in keys if key.state(self.now) in ("active", "staged"))
        return max(current or keys, key=lambda key: key.version, default=None)

    def refuse_open_overlap(self) -> None:
        """Raise SetupError if the tenant already has two current keys."""
        keys = self.entry.keys.values() if self.entry else ()
        current = [key for key in keys if key.state(self.now) in ("active", "staged")]
        if len(current) < 2:
            return
        ends = "; ".join(
            f"version {key.version} {key.state(self.now)}"
            + (f" until {roster_time(key.not_after)}" if key.not_after else "")
            for key in current
        )
        raise SetupError([f"{self.tenant} is already between two keys ({ends}); wait, end one, or add --force"])

    @property
    def limits(self) -> dict[str, tuple[str, ...]]:
        """The limits of the new key: those of the one that it follows, without schemes that cannot verify it."""
        narrowed = _limits_of(self.follows) if self.follows is not None else {}
        fitting = tuple(name for name in narrowed.pop("schemes", ()) if name in self.schemes)
        return {**narrowed, **({"schemes": fitting} if fitting else {})}

    def refuse_unusable(self) -> None:
        """Raise SetupError if no scheme that the tenant accepts verifies keys of the new one's kind."""
        accepted = self.entry.schemes if self.entry else None
        if accepted is not None and accepted.isdisjoint(self.schemes):
            only, known = ", ".join(sorted(accepted)), ", ".join(sorted(self.schemes))
            problem = f"{self.tenant} accepts {only} only, which verifies no {self.kind} key; add one of {known}"
            raise SetupError([f"{problem} to its schemes in keys.yaml"])

    def endings(self) -> Iterator[Ending]:
        """How each earlier key ends. No key's end is postponed."""
        for key in self.entry.keys.values() if self.entry else ():
            if key.state(self.now) in ("expired", "revoked"):
                continue
            if self.overlap is None:
                yield Ending(key.version, "revoked", "true", "is revoked; versions pushed with it no longer count")
                continue
            end = self.now + self.overlap
            # A staged key that starts after that end stays as it is: otherwise the roster would not load.
            if (key.not_after is None or key.not_after > end) and (key.not_before is None or key.not_before < end):
                yield Ending(key.version, "not_after", roster_time(end), f"stays active until {roster_time(end)}")

    def to_json(self) -> dict[str, object]:
        """The rotation for programs, without the key itself."""
        endings = [
            {
                "key_version": ending.version,
                "not_after": ending.value if ending.member == "not_after" else None,
                "revoked": ending.member == "revoked",
            }
            for ending in self.endings()
        ]
        new = {"tenant": self.tenant, "key_version": self.version, "kind": self.kind}
        return {**new, **dict.fromkeys(("types", "sources", "schemes")), **self.limits, "endings": endings}

    def apply(self, text: str) -> str:
        """The roster's text with the new key and the ends of the earlier ones."""
        key: KeyText = {"version": str(self.version), str(self.kind): self.reference, **self.limits}
        text = with_tenants(text, {self.tenant: key}) if self.entry is None else with_key(text, self.tenant, key)
        for ending in self.endings():
            text = with_member(text, self.tenant, ending.version, ending.member, ending.value)
        return text


def _limits_of(key: Key) -> dict[str, tuple[str, ...]]:
    """The limits of a key by their member in keys.yaml."""
    narrowed = {"types": key.types, "sources": key.sources, "schemes": key.schemes}
    return {name: tuple(sorted(map(str, values))) for name, values in narrowed.items() if values is not None}


def roster_time(moment: datetime) -> str:
    """A time as it is written in keys.yaml, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

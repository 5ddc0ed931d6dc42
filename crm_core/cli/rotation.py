"""How a key follows another: which edits of keys.yaml a rotation is."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from crm_core.cli.roster_text import with_key, with_member, with_tenant
from crm_core.errors import SetupError
from crm_core.model.keys import Key, TenantRoster

_KEY_BYTES = 32


def fresh_secret(form: Literal["base64", "hex", "whsec"] = "base64") -> str:
    """A reference to 32 random bytes that holds them itself."""
    raw = secrets.token_bytes(_KEY_BYTES)
    if form == "hex":
        return "hex:" + raw.hex()
    return ("base64:" if form == "base64" else "whsec_") + base64.b64encode(raw).decode()


class Ending(msgspec.Struct, frozen=True):
    """What a rotation does to an earlier key: it sets one member, and in words."""

    version: int
    member: str
    value: str
    words: str


class Rotation(msgspec.Struct, frozen=True):
    """A tenant's next key. ``entry`` None: keys.yaml has none; ``overlap`` None: the earlier keys are revoked.

    ``used``: the highest version that the tenant's sync log tells. A number that served before would make the two keys
    one in log and history.
    """

    tenant: str
    entry: TenantRoster | None
    secret: str
    overlap: timedelta | None
    now: datetime
    used: int = 0

    @property
    def version(self) -> int:
        """The new key's."""
        return max(self.used, *(self.entry.keys if self.entry else ()), 0) + 1

    @property
    def follows(self) -> Key | None:
        """The key whose limits the new one gets: the newest that is not over, else the newest; None for a first key."""
        keys = tuple(self.entry.keys.values()) if self.entry else ()
        going = tuple(key for key in keys if key.state(self.now) in ("active", "staged"))
        return max(going or keys, key=lambda key: key.version, default=None)

    def refuse_open_overlap(self) -> None:
        """Raise SetupError where the tenant is between two keys already."""
        keys = self.entry.keys.values() if self.entry else ()
        going = [key for key in keys if key.state(self.now) in ("active", "staged")]
        if len(going) < 2:
            return
        ends = "; ".join(
            f"version {key.version} {key.state(self.now)}" + (f" until {wire(key.not_after)}" if key.not_after else "")
            for key in going
        )
        raise SetupError([f"{self.tenant} is between two keys already ({ends}); wait, end one of them, or say --force"])

    def endings(self) -> Iterator[Ending]:
        """What becomes of each earlier key. No key's end is put off."""
        for key in self.entry.keys.values() if self.entry else ():
            if key.state(self.now) in ("expired", "revoked"):
                continue
            if self.overlap is None:
                yield Ending(key.version, "revoked", "true", "is revoked; versions pushed with it no longer count")
                continue
            end = self.now + self.overlap
            # A staged key that starts behind that end stays as it is: the other way the roster would not load.
            if (key.not_after is None or key.not_after > end) and (key.not_before is None or key.not_before < end):
                yield Ending(key.version, "not_after", wire(end), f"stays active until {wire(end)}")

    def made(self, text: str) -> str:
        """The roster's text with the new key, and the earlier ones ended."""
        key: dict[str, str | tuple[str, ...]] = {"version": str(self.version), "secret": self.secret}
        if self.follows is not None:
            key |= limits(self.follows)
        text = with_tenant(text, self.tenant, key) if self.entry is None else with_key(text, self.tenant, key)
        for ending in self.endings():
            text = with_member(text, self.tenant, ending.version, ending.member, ending.value)
        return text


def limits(key: Key) -> dict[str, tuple[str, ...]]:
    """What narrows a key, by the name of its member in keys.yaml."""
    narrowed = {"types": key.types, "sources": key.sources, "schemes": key.schemes}
    return {name: tuple(sorted(map(str, values))) for name, values in narrowed.items() if values is not None}


def wire(moment: datetime) -> str:
    """A moment as keys.yaml writes it, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

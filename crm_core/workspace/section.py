"""A section as stored, with the pushes and restores that made it."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property
from typing import Any

import msgspec

from crm_core.model.canonical import sha256_of
from crm_core.model.frozen import frozen
from crm_core.plugin.unit import Put

SECTIONS = "sections"  # the collection of section documents, which backends return with the view


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted push or restore: when, which request, and the workspace's revision after it."""

    at: str
    payload_type: str
    version: int
    request_id: str
    revision: int
    key_version: int | None = None


class PushConfirmation(Acceptance, frozen=True, kw_only=True):
    """A push that left a section as it is. ``fingerprint``: of its payload, empty if a history entry has it."""

    fingerprint: str = ""


class Section(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A section as stored. ``data`` shows secrets as ``{"set": true}``; ``sealed`` has them by RFC 6901 pointer.

    ``version``: of the last accepted push; a restore leaves it. ``versions``: the highest version accepted by key
    version, for the floor. ``revision``, ``applied_at``, ``request_id``, ``payload_type``, ``key_version`` and
    ``actor`` are of the push or restore that made it what it is; ``confirmed`` is the last push that left it as it is,
    if no push changed it since. ``history`` lists the retained revisions, oldest first. ``schema``: the SCHEMA_VERSION
    that its type had.
    """

    name: str
    data: dict[str, Any]
    sealed: dict[str, str] = {}
    version: int
    versions: dict[int, int] = {}
    revision: int
    applied_at: str
    request_id: str
    payload_type: str
    key_version: int | None = None
    actor: str = ""
    history: tuple[int, ...] = ()
    confirmed: PushConfirmation | None = None
    schema: int = 1

    def __post_init__(self) -> None:
        """Freeze the data: plugins receive it as it is."""
        msgspec.structs.force_setattr(self, "data", frozen(self.data))

    def floor(self, revoked: Container[int]) -> int:
        """The highest version accepted under any key that is not revoked; 0 if there is none."""
        return max((version for key, version in self.versions.items() if key not in revoked), default=0)

    @property
    def accepted(self) -> Acceptance:
        """The last push or restore of this section, whether it changed the section or not."""
        if self.confirmed is not None and self.confirmed.revision > self.revision:
            return self.confirmed
        return Acceptance(
            at=self.applied_at,
            payload_type=self.payload_type,
            version=self.version,
            request_id=self.request_id,
            revision=self.revision,
            key_version=self.key_version,
        )

    @property
    def restored(self) -> bool:
        """Whether a restore changed the section since the last push."""
        return self.key_version is None and (self.confirmed is None or self.confirmed.revision < self.revision)

    @cached_property
    def sha256(self) -> str:
        """The hash of the section as shown: a platform sees drift without pushing."""
        return sha256_of(self.data)

    def put(self) -> Put:
        """The section as a document."""
        return Put(SECTIONS, self.name, msgspec.json.encode(self))

"""The stored revisions of sections, and the fingerprints of the payloads that made them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crm_core.model.diff import Change
from crm_core.model.recent import Recent
from crm_core.plugin.storage import Put, StorageBackend
from crm_core.workspace import Workspace

HISTORY: Final = "history"
_CACHED: Final = 10_000  # fingerprints: with their names about 4 MB


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of a section in its history. ``fingerprint``: of the payload, empty for a restore.

    ``schema``: the SCHEMA_VERSION of ``data``.
    """

    section: str
    revision: int
    version: int
    applied_at: str
    request_id: str
    actor: str
    payload_type: str
    key_version: int | None = None
    changes: tuple[Change, ...] = ()
    data: dict[str, Any] = {}
    fingerprint: str = ""
    schema: int = 1

    def put(self) -> Put:
        """The revision as a document, which the section's own list of revisions leads to."""
        return Put(HISTORY, history_id(self.section, self.revision), msgspec.json.encode(self))


class _Fingerprint(msgspec.Struct):
    """The one member of an Applied that is read when a revision is dropped."""

    fingerprint: str = ""


def history_id(section: str, revision: int) -> str:
    """The id of a revision's document; ids are in order of revision."""
    return f"{revision:016d}-{section}"


class Fingerprints:
    """The fingerprints of stored revisions. Those that this process applied are cached: most are dropped by it too."""

    def __init__(self, backend: StorageBackend) -> None:
        self._backend = backend
        self._cached: Recent[tuple[str, str, int, str], str] = Recent(_CACHED)

    async def of(self, workspace: Workspace, section: str, revision: int) -> str:
        """The fingerprint of the payload of a revision; empty for that of a restore. Raises StorageUnavailable."""
        cached = self._cached.get((workspace.tenant, workspace.epoch, revision, section))
        if cached is not None:
            return cached
        read = await self._backend.get(workspace.tenant, HISTORY, history_id(section, revision))
        return "" if read.document is None else msgspec.json.decode(read.document.body, type=_Fingerprint).fingerprint

    def learn(self, workspace: Workspace, section: str, fingerprint: str) -> None:
        """Cache the fingerprint of the payload that made the present revision of a section."""
        self._cached.add((workspace.tenant, workspace.epoch, workspace.revision, section), fingerprint)

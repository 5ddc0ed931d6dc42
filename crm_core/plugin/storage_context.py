"""The settings that a storage backend is opened with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from crm_core.plugin.unit import Document, IndexValue

Reindex = Callable[[str, tuple[str, ...]], Callable[[bytes], tuple[bytes, Mapping[str, IndexValue]]] | None]
"""For a collection and the names of a document's indexes: how to make the body and indexes that the present version
would write from its body; None if they are as it writes them."""


def _no_digest(_sections: tuple[Document, ...]) -> bytes:
    return b""


def _no_reindex(_collection: str, _names: tuple[str, ...]) -> None:
    return None


class StorageContext(msgspec.Struct, frozen=True):
    """The settings of a backend. ``options``: the ``storage`` member of instance.yaml without ``backend``.

    ``instance``: the code of the instance, for a database that several share. ``migrating``: the store is opened for
    ``migrate``, and may be empty or of an earlier version.

    ``reindex``: a backend applies it to documents that it reads from before it was opened, since their indexes and body
    may be those of an earlier version. It changes no revision.

    ``digest``: what the core needs of a tenant's sections in ``Summary``, for a backend that stores summaries; it may
    be called in a thread, and never raises.
    """

    tenants_dir: Path
    options: Mapping[str, Any] = {}
    log_keep_days: int = 0  # 0: keep the chain for good
    changes_keep_days: int = 0  # 0: keep the change log for good
    log_max_unverified: int = 10_000
    reindex: Reindex = _no_reindex
    digest: Callable[[tuple[Document, ...]], bytes] = _no_digest
    instance: str = ""
    migrating: bool = False

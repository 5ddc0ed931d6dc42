"""Tokens and sessions belong to one tenant: a copy of its store under another name has none of them.

Sessions name their tenant in what is signed. Tokens do not, as a renamed tenant keeps its tokens: their store names it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from crm_core.access.sessions import SESSIONS
from crm_core.access.token import TOKENS
from crm_core.access.token_uses import TOKEN_USES
from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import Delete, EntryQuery, Put, StorageBackend, Unit
from crm_core.workspace.storing import commit

_HOME: Final = "home"  # a collection with one document: the tenant that the tokens were made for


class _Home(msgspec.Struct, frozen=True):
    tenant: str


def home(tenant: str) -> Put:
    """The document that says whose tokens and sessions a store has."""
    return Put(_HOME, _HOME, msgspec.json.encode(_Home(tenant)))


async def keep_access(backend: StorageBackend, was: str, tenant: str, now: datetime) -> bool:
    """Let the tokens of a tenant that was renamed belong to its new name; return whether they do.

    With the same name, those of a store that does not say whose they are, as 0.2.0 wrote it, belong to it from then on.
    Those of a third one, whose backup it came from, stay refused. A tenant in quarantine accepts no writes: its tokens
    are refused until it is renamed back.
    """
    with suppress(StorageUnavailable, StorageFull):
        if await _owner(backend, tenant) in {None, was} - {tenant}:
            await commit(backend, tenant, Unit(now=int(now.timestamp()), puts=(home(tenant),)))
    with suppress(StorageUnavailable):  # it may not even be readable
        return not await has_foreign_access(backend, tenant)
    return True


async def has_foreign_access(backend: StorageBackend, tenant: str) -> bool:
    """Whether the tokens of a store were made for another tenant: its restore has not ended them yet, or was killed."""
    return await _owner(backend, tenant) not in (None, tenant)


async def end_foreign_access(backend: StorageBackend, tenant: str, now: datetime) -> bool:
    """Delete the tokens and sessions of a restored store, unless they are this tenant's; return whether it did.

    Stores of earlier versions do not say whose they are; then the newest entry of the sync log does.
    """
    owner = await _owner(backend, tenant)
    if owner is None:
        entries = await backend.entries(tenant, EntryQuery(verified=True, limit=1))
        owner = entries[0].tenant if entries else None
    if owner == tenant:
        return False
    kinds = TOKENS, TOKEN_USES, SESSIONS
    ended = [Delete(kind, each.id) for kind in kinds async for each in backend.documents(tenant, kind)]
    if ended:
        unit = Unit(now=int(now.timestamp()), puts=(home(tenant),), deletes=tuple(ended))
        await commit(backend, tenant, unit)
    return bool(ended)


async def _owner(backend: StorageBackend, tenant: str) -> str | None:
    """The tenant that a store's tokens were made for; None if it has none, or only those of earlier versions."""
    document = (await backend.get(tenant, _HOME, _HOME)).document
    return None if document is None else msgspec.json.decode(document.body, type=_Home).tenant

"""Fragments of pages that many users see alike, cached while the data in them is the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, TypeVar, cast
from weakref import ReferenceType, ref

import msgspec
from cachetools import LRUCache
from markupsafe import Markup

from crm_core.language import current
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.workspace import Workspace

T = TypeVar("T", bound=tuple[Markup, ...])
_CHARACTERS: Final = 16 * 1024 * 1024  # of all fragments: a search may be long, and appears many times in its fragment
_OVERHEAD: Final = 1024  # of each entry


class FragmentCache:
    """Fragments of all tenants; the key names all that a fragment depends on besides the workspace and the language.

    They keep no workspace alive: it has pictures, and each push makes another.
    """

    def __init__(self, characters: int = _CHARACTERS) -> None:
        self._fragments: LRUCache[Hashable, tuple[ReferenceType[Workspace], tuple[Markup, ...]]] = LRUCache(
            characters, getsizeof=_size
        )

    def get(self, workspace: Workspace, kind: type[T], key: Hashable, make: Callable[[], T]) -> T:
        """The fragment, made now unless it is cached for this workspace object."""
        name = (workspace.tenant, current().tag, kind, key)
        cached = self._fragments.get(name)
        if cached is None or cached[0]() is not workspace:
            cached = self._fragments[name] = (ref(workspace), make())
        return cast("T", cached[1])


def _size(entry: tuple[ReferenceType[Workspace], tuple[Markup, ...]]) -> int:
    return _OVERHEAD + sum(map(len, entry[1]))


class CachedRow(msgspec.Struct, frozen=True):
    """A row and everything that it depends on; ``names`` are those of its references."""

    body: bytes
    branding: TenantBranding
    minute: int
    references: tuple[tuple[str, str], ...]
    names: tuple[str | None, ...]
    html: Markup

"""Parts of pages that many see alike: made once, and kept while the workspace is the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from cachetools import LRUCache
from markupsafe import Markup

from crm_core.workspace import Workspace

T = TypeVar("T", bound=tuple[Markup, ...])
_CHARACTERS: Final = 16 * 1024 * 1024  # of all parts together: a search may be long, and stands in its part many times
_OVERHEAD: Final = 1024  # of each entry


class FragmentCache(Generic[T]):
    """Parts of all tenants, by what tells them apart; the longest unused goes first."""

    def __init__(self, characters: int = _CHARACTERS) -> None:
        self._held: LRUCache[Hashable, tuple[Workspace, T]] = LRUCache(characters, getsizeof=_size)

    def get(self, workspace: Workspace, key: Hashable, make: Callable[[], T]) -> T:
        """The part that ``key`` names in this workspace; ``key`` holds all that it rests on besides the workspace."""
        held = self._held.get((workspace.tenant, key))
        if held is None or held[0] is not workspace:
            held = self._held[workspace.tenant, key] = (workspace, make())
        return held[1]


def _size(held: tuple[Workspace, tuple[Markup, ...]]) -> int:
    return _OVERHEAD + sum(map(len, held[1]))

"""Parts of pages that many see alike: made once, and kept while the workspace is the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from crm_core.workspace import Workspace

T = TypeVar("T")
_KEPT: Final = 2048


class Kept(Generic[T]):
    """Parts of all tenants, by what tells them apart; the longest unused goes first."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, tuple[Workspace, T]] = OrderedDict()

    def get(self, workspace: Workspace, key: Hashable, make: Callable[[], T]) -> T:
        """The part that ``key`` names in this workspace; ``key`` holds all that it rests on besides the workspace."""
        held = self._held.get((workspace.tenant, key))
        if held is None or held[0] is not workspace:
            held = (workspace, make())
            self._held[workspace.tenant, key] = held
        self._held.move_to_end((workspace.tenant, key))
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)
        return held[1]

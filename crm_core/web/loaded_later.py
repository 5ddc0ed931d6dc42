"""Values that take long to make, and that a server can start without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LoadedLater(Generic[T]):
    """A value that a thread makes while the loop serves requests: once, unless that fails."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._loading: asyncio.Future[T] | None = None

    def begin(self) -> asyncio.Future[T]:
        """Begin to make it, unless that began before."""
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            self._loading = asyncio.get_running_loop().run_in_executor(None, self._load)
        return self._loading

    async def get(self) -> T:
        """The value, waited for if necessary. Raises what ``load`` raises; the next call tries again."""
        loading = self.begin()
        return loading.result() if loading.done() else await asyncio.shield(loading)

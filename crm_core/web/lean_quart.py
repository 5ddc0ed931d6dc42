"""Quart without Hypercorn, the server that it would run by itself: a tenth of what a start costs, and never used."""

from __future__ import annotations

import sys
from types import ModuleType

_HYPERCORN = ("hypercorn", "hypercorn.asyncio", "hypercorn.config", "hypercorn.typing")


def import_quart() -> None:
    """Import Quart, with placeholders for what it imports of Hypercorn unless that is loaded already."""
    if "quart" in sys.modules or "hypercorn" in sys.modules:
        return
    sys.modules.update({name: _Placeholder(name) for name in _HYPERCORN})
    try:
        import quart  # noqa: F401 -- for those who import it later
    finally:
        for name in _HYPERCORN:
            del sys.modules[name]


class _Placeholder(ModuleType):
    """A package in which every name is an empty class, which is enough for annotations."""

    __path__: list[str] = []  # noqa: RUF012 -- as packages have it

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})

"""Importing a library without the parts of others that it brings and we never use: a tenth of what a start costs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let modules that are imported inside find placeholders for those of ``names`` that are not loaded yet."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update({name: _Placeholder(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


class _Placeholder(ModuleType):
    """A package in which every name is an empty class, which is enough for annotations and as a base."""

    __path__: list[str] = []  # noqa: RUF012 -- as packages have it

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})

"""Rewriting the assertions of test modules, which takes ten seconds the first time, divided between the workers.

Workers collect the same modules in the same order, so without this each rewrites nearly all of them at the same time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import ModuleSpec
from importlib.util import cache_from_source, spec_from_file_location
from pathlib import Path

import pytest


class _Unrun:
    """It is given to a loader as a module, but has no namespace in which the loader could run the code."""

    __slots__ = ("__name__", "__spec__")

    def __init__(self, spec: ModuleSpec) -> None:
        self.__name__, self.__spec__ = spec.name, spec


def rewrite_share(config: pytest.Config) -> None:
    """Rewrite what no worker has yet, each beginning at another module."""
    worker = getattr(config, "workerinput", None)
    hooks = [finder for finder in sys.meta_path if type(finder).__name__ == "AssertionRewritingHook"]
    if worker is None or not hooks:
        return
    modules = sorted(path for given in config.args for path in _modules(Path(given.partition("::")[0])))
    first = len(modules) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for path in modules[first:] + modules[:first]:
        spec = spec_from_file_location(path.stem, path, loader=hooks[0])
        if spec is not None and not _stored(path).exists():
            with suppress(AttributeError):
                hooks[0].exec_module(_Unrun(spec))


def _modules(given: Path) -> Iterator[Path]:
    return given.rglob("test_*.py") if given.is_dir() else iter([given])


def _stored(path: Path) -> Path:
    plain = Path(cache_from_source(str(path)))
    return plain.with_name(f"{plain.stem}-pytest-{pytest.__version__}.pyc")

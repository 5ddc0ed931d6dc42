"""`crm config check`: every problem of every file."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from crm_core.errors import SetupError
from crm_core.settings.catalog import Guarded, built_in_catalog, load_catalog
from crm_core.settings.document import is_there
from crm_core.settings.instance import InstanceSettings, load_instance
from crm_core.settings.instances import load_instances
from crm_core.settings.options import read_options
from crm_core.settings.roles import load_roles
from crm_core.settings.roster import load_roster
from crm_core.settings.salvage import salvage

_PLACE = re.compile(r"[^:]+:(\d+):(\d+): ")

T = TypeVar("T")


def check(
    folder: Path,
    *,
    sections: Collection[str],
    schemes: Collection[str],
    record_types: Collection[Guarded],
    options: Mapping[str, type[msgspec.Struct]],
    environ: Mapping[str, str],
    backends: Collection[str] | None = None,
) -> list[str]:
    """The problems of the files of a config folder.

    A folder with instances.yaml and no instance.yaml belongs to a manager: only that file is checked.
    """
    problems: list[str] = []

    def attempt(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except SetupError as error:
            problems.extend(error.problems)
            return None

    def instance() -> InstanceSettings | None:
        path = folder / "instance.yaml"
        try:
            settings = load_instance(path, environ=environ)
        except SetupError as error:
            problems.extend(_with_those_of_options(error.problems, path, options))
            return None
        attempt(lambda: read_options(settings, options))
        return settings

    manager = is_there(folder / "instances.yaml")
    if manager:
        attempt(lambda: load_instances(folder / "instances.yaml"))
    if not manager or is_there(folder / "instance.yaml"):
        settings = instance()
        if settings is not None and backends is not None:
            attempt(lambda: settings.storage.require(backends))
        attempt(lambda: load_roster(folder / "keys.yaml", sections=sections, schemes=schemes, environ=environ))
        own = attempt(lambda: load_catalog(folder / "modules.yaml", record_types=record_types))
        catalog = own or built_in_catalog(record_types)
        attempt(lambda: load_roles(folder / "roles.yaml", catalog=catalog))
    return problems


def _with_those_of_options(
    problems: Sequence[str], path: Path, options: Mapping[str, type[msgspec.Struct]]
) -> list[str]:
    """The problems of a file that does not load, and those of the members of plugins, by line."""
    found = list(problems)
    misspelled = {_place_of(problem) for problem in problems if "unknown member" in problem}
    unloaded = salvage(path)
    if unloaded is not None:
        try:
            read_options(unloaded, options)
        except SetupError as error:
            found += [problem for problem in error.problems if _place_of(problem) not in misspelled]
    return sorted(found, key=_place_of)


def _place_of(problem: str) -> tuple[int, int]:
    """Line and column of a problem, by which it is sorted; those without a place are last."""
    match = _PLACE.match(problem)
    return (int(match[1]), int(match[2])) if match else (sys.maxsize, 0)

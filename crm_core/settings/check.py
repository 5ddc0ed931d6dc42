"""`crm config check`: every problem of every file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from crm_core.errors import SetupError
from crm_core.settings.catalog import Guarded, built_in_catalog, load_catalog
from crm_core.settings.document import is_there
from crm_core.settings.instance import load_instance
from crm_core.settings.instances import load_instances
from crm_core.settings.options import read_options
from crm_core.settings.roles import load_roles
from crm_core.settings.roster import load_roster

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

    manager = is_there(folder / "instances.yaml")
    if manager:
        attempt(lambda: load_instances(folder / "instances.yaml"))
    if not manager or is_there(folder / "instance.yaml"):
        settings = attempt(lambda: load_instance(folder / "instance.yaml", environ=environ))
        if settings is not None:
            attempt(lambda: read_options(settings, options))
            if backends is not None:
                attempt(lambda: settings.storage.require(backends))
        attempt(lambda: load_roster(folder / "keys.yaml", sections=sections, schemes=schemes, environ=environ))
        own = attempt(lambda: load_catalog(folder / "modules.yaml", record_types=record_types))
        catalog = own or built_in_catalog(record_types)
        attempt(lambda: load_roles(folder / "roles.yaml", catalog=catalog))
    return problems

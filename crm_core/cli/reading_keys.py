"""keys.yaml for the commands on keys: with its keys if they can be read here, else without."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crm_core.errors import SetupError
from crm_core.model.keys import Roster
from crm_core.plugin.registry import Registry


def registry_of(config: Path) -> Registry:
    """All plugins of instance.yaml; without a valid one, the built-in plugins: crm config check reports it."""
    from crm_core.plugin.registry import build_registry
    from crm_core.settings import load_instance_outline
    from crm_core.settings.installation import load_plugins

    settings = None
    with suppress(SetupError):
        settings = load_instance_outline(config / "instance.yaml")
    return build_registry(load_plugins(settings))


def loaded(path: Path, registry: Registry) -> Roster:
    """The roster with its keys. Raises SetupError."""
    from crm_core.settings import load_roster

    return load_roster(path, sections=registry.sections, schemes=registry.schemes, environ=os.environ)


def outline(path: Path, registry: Registry) -> Roster:
    """The roster without its keys. Raises SetupError."""
    from crm_core.settings import load_roster_outline

    return load_roster_outline(path, sections=registry.sections, schemes=registry.schemes)


def as_readable(path: Path, registry: Registry) -> Callable[[Path], object]:
    """A check of an edited roster: with its keys if they can be read here, else without."""
    try:
        loaded(path, registry)
    except SetupError:
        return lambda edited: outline(edited, registry)
    return lambda edited: loaded(edited, registry)

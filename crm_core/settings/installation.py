"""An instance on disk: instance.yaml, the plugins it loads, and the configuration files that need them.

``crm_core.settings`` does not export it: the manager reads settings and loads no plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path

import msgspec

from crm_core.errors import SetupError
from crm_core.language import Languages
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.keys import Roster
from crm_core.plugin.door import OnFailure
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry, build_registry
from crm_core.settings.catalog import load_catalog
from crm_core.settings.instance import InstanceSettings, load_instance
from crm_core.settings.options import read_options
from crm_core.settings.plugins import load_plugins
from crm_core.settings.reload import Configuration
from crm_core.settings.roles import load_roles
from crm_core.settings.roster import load_roster


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, plugins and what they register; no store is open. ``options``: of payload types, by name."""

    folder: Path
    environ: Mapping[str, str]
    settings: InstanceSettings
    host: PluginHost
    registry: Registry
    options: dict[str, msgspec.Struct]


def option_types(registry: Registry) -> dict[str, type[msgspec.Struct]]:
    """The types of the members of instance.yaml that belong to payload types."""
    types = registry.payload_types.values()
    return {payload_type.NAME: payload_type.OPTIONS for payload_type in types if payload_type.OPTIONS is not None}


def languages_of(host: PluginHost, settings: InstanceSettings | None) -> Languages:
    """The catalogues of the core, of the active plugins, and of the configuration."""
    folders = [folder / "translations" for folder in host.folders]
    return Languages([*folders, settings.translations] if settings else folders)


def install(folder: Path, environ: Mapping[str, str], on_failure: OnFailure | None = None) -> Installation:
    """Read instance.yaml and load the plugins. Raises SetupError, also for a broken plugin that is not disabled."""
    settings = load_instance(folder / "instance.yaml", environ=environ)
    host = load_plugins(settings, on_failure)
    if host.broken:
        raise SetupError(
            f"plugin {plugin.name}: {plugin.error} Fix it, or list it under plugins.disabled in instance.yaml."
            for plugin in host.broken
        )
    settings.plugins.require([plugin.name for plugin in host.plugins])
    registry = build_registry(host)
    settings.storage.require(registry.backends)
    options = read_options(settings, option_types(registry))
    return Installation(
        folder=folder, environ=environ, settings=settings, host=host, registry=registry, options=options
    )


def watched(installation: Installation, now: Callable[[], datetime]) -> Configuration:
    """The configuration files, loaded now and again after each edit. Raises SetupError with every problem."""
    registry = installation.registry
    return Configuration(
        installation.folder,
        installation.settings,
        sections=registry.sections,
        schemes=registry.schemes,
        record_types=registry.record_types.values(),
        environ=installation.environ,
        now=now,
    )


class ConfigurationOnDemand:
    """The configuration files, each loaded when it is first read: a broken roster stops only commands that need it."""

    generation = 1
    roster_error: str | None = None

    def __init__(self, installation: Installation, now: Callable[[], datetime]) -> None:
        self._installation = installation
        self.loaded_at = now()

    @cached_property
    def roster(self) -> Roster:
        """The key roster. Raises SetupError."""
        installation = self._installation
        return load_roster(
            installation.folder / "keys.yaml",
            sections=installation.registry.sections,
            schemes=installation.registry.schemes,
            environ=installation.environ,
        )

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog of modules. Raises SetupError."""
        record_types = self._installation.registry.record_types.values()
        return load_catalog(self._installation.folder / "modules.yaml", record_types=record_types)

    @cached_property
    def roles(self) -> Roles:
        """The local roles. Raises SetupError."""
        return load_roles(self._installation.folder / "roles.yaml", catalog=self.catalog)

    def errors(self) -> tuple[str, ...]:
        """Always empty: a file that does not load raises when it is read."""
        return ()

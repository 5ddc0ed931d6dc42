"""An instance on disk: instance.yaml, the plugins that it loads, and the files that are read with what plugins add."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from crm_core.errors import SetupError
from crm_core.language import Languages
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.keys import Roster
from crm_core.plugin.door import OnFailure
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry, build_registry
from crm_core.plugin.watching import printed, watched
from crm_core.settings.catalog import load_catalog
from crm_core.settings.instance import InstanceSettings, load_instance
from crm_core.settings.options import read_options
from crm_core.settings.roles import load_roles
from crm_core.settings.roster import load_roster
from crm_core.settings.salvage import UnloadedInstance

_REMEDY: Final = "Fix it, or list it under plugins.disabled in instance.yaml."


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, plugins and what they register; no store is open. ``options``: of payload types, by name."""

    folder: Path
    environ: Mapping[str, str]
    settings: InstanceSettings
    host: PluginHost
    registry: Registry
    options: dict[str, msgspec.Struct]

    def load_roster(self) -> Roster:
        """The key roster. Raises SetupError."""
        path, names = self.folder / "keys.yaml", self.registry
        return load_roster(path, sections=names.sections, schemes=names.schemes, environ=self.environ)

    def load_catalog(self) -> Catalog:
        """The catalog of modules. Raises SetupError."""
        return load_catalog(self.folder / "modules.yaml", record_types=self.registry.record_types.values())

    def load_roles(self, catalog: Catalog) -> Roles:
        """The local roles, checked against the catalog. Raises SetupError."""
        return load_roles(self.folder / "roles.yaml", catalog=catalog)


def load_plugins(
    settings: InstanceSettings | UnloadedInstance | None = None, on_failure: OnFailure | None = None
) -> PluginHost:
    """The plugins of an instance; without settings, all installed ones. ``broken`` has those that cannot be used."""
    host = PluginHost(settings.plugins.disabled if settings else (), on_failure)
    with watched(host.door, printed):
        host.load_entry_points()
        for folder in settings.plugins.folders if settings else ():
            host.load_folder(folder)
    return host


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
        raise SetupError(f"plugin {plugin.name}: {plugin.error} {_REMEDY}" for plugin in host.broken)
    settings.plugins.require([plugin.name for plugin in host.plugins])
    try:
        registry = build_registry(host)
    except SetupError as error:
        raise SetupError(f"{problem} {_REMEDY}" for problem in error.problems) from None
    settings.storage.require(registry.backends)
    options = read_options(settings, option_types(registry))
    return Installation(
        folder=folder, environ=environ, settings=settings, host=host, registry=registry, options=options
    )

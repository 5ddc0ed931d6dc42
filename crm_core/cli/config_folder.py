"""The config folder as commands read it: each file when it is first needed, keys.yaml with its keys or without."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import click
import msgspec

from crm_core.errors import SetupError
from crm_core.model.keys import Key, KeyKind, Roster, TenantRoster
from crm_core.model.signed_text import NATIVE
from crm_core.plugin.registry import Registry, build_registry
from crm_core.settings.instance import InstanceSettings, load_instance_outline
from crm_core.settings.roster import load_roster, load_roster_outline
from crm_core.settings.secrets import Secrets


class ConfigFolder:
    """The files of a config folder, parts of which may be missing on a platform's machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def has_settings(self) -> bool:
        """Whether the folder has an instance.yaml; a platform's machine has none."""
        return (self._path / "instance.yaml").exists()

    @cached_property
    def settings(self) -> InstanceSettings:
        """instance.yaml without its secrets."""
        return load_instance_outline(self._path / "instance.yaml")

    @cached_property
    def registry(self) -> Registry:
        """The parts of the plugins that instance.yaml loads; of the installed ones if there is none."""
        from crm_core.settings.installation import load_plugins

        return build_registry(load_plugins(self.settings if self.has_settings else None))

    @cached_property
    def roster(self) -> Roster:
        """keys.yaml. Raises SetupError."""
        return read_roster(self._path / "keys.yaml", self.registry)

    @cached_property
    def outline(self) -> Roster:
        """keys.yaml without its keys, some of which may not be readable here. Raises SetupError."""
        return read_outline(self._path / "keys.yaml", self.registry)

    @cached_property
    def _whole_roster(self) -> Roster | None:
        """keys.yaml with its keys; None if one of them, or anything else, cannot be read."""
        try:
            return self.roster
        except SetupError:
            return None

    def schemes(self, entry: TenantRoster) -> Iterator[str]:
        """The schemes that a tenant accepts, the native one first."""
        if entry.schemes is None or NATIVE in entry.schemes:
            yield NATIVE
        yield from sorted((set(self.registry.schemes) if entry.schemes is None else entry.schemes) - {NATIVE})

    def kinds(self, scheme: str) -> tuple[KeyKind, ...]:
        """The kinds of keys that a scheme verifies; the native one's are known without a plugin. Raises UsageError."""
        if scheme == NATIVE:
            return ("secret",)
        schemes = self.registry.schemes
        if scheme not in schemes:
            raise click.UsageError(f"unknown signature scheme {scheme}; known schemes: {', '.join(schemes)}")
        return schemes[scheme].KEY_KINDS

    @property
    def has_roster(self) -> bool:
        """Whether keys.yaml exists."""
        return (self._path / "keys.yaml").exists()

    def entry(self, tenant: str) -> TenantRoster:
        """A tenant's entry in keys.yaml; keys of other tenants need not be readable here. Raises SetupError."""
        roster = self._whole_roster or self.outline
        if tenant not in roster.tenants:
            raise SetupError([f"keys.yaml has no entry for {tenant}; add the key that the receiver has for it"])
        entry = roster.tenants[tenant]
        return entry if self._whole_roster is not None else self._with_keys(tenant, entry)

    def _with_keys(self, tenant: str, entry: TenantRoster) -> TenantRoster:
        """An entry of the outline with its keys, whose references the outline has in their place."""
        secrets, keys = Secrets(os.environ, self._path), dict(entry.keys)
        for version, key in entry.keys.items():
            if key.kind == "secret":
                try:
                    keys[version] = dataclasses.replace(key, material=secrets.reference(key.material.decode()))
                except ValueError as error:
                    raise SetupError([f"keys.yaml, {tenant}, key version {version}: {error}"]) from None
            elif key.material.startswith((b"env:", b"file:")):
                with suppress(ValueError):  # only its private key can sign
                    keys[version] = dataclasses.replace(key, material=secrets.public_reference(key.material.decode()))
        return msgspec.structs.replace(entry, keys=keys)

    def only_tenant(self) -> str:
        """The one tenant of keys.yaml. Raises click.UsageError if there are none or several."""
        tenants = sorted(self.roster.tenants)
        if len(tenants) != 1:
            listed = ", ".join(tenants[:10]) + (", ..." if len(tenants) > 10 else "")
            raise click.UsageError(f"add --tenant; keys.yaml has {listed or 'no tenant'}")
        return tenants[0]

    def address(self) -> tuple[str, Path | None]:
        """The origin on which this folder's instance listens, and its unix socket, if it uses one."""
        if not self.has_settings:
            raise click.UsageError(f"{self._path} has no instance.yaml; add the receiver's address with --url")
        listen = self.settings.listen
        if listen.unix is not None:
            return "http://localhost", listen.unix
        if listen.port == 0:
            raise click.UsageError("instance.yaml listens on any free port; add the address with --url")
        here = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104 - read
        return f"http://{f'[{here}]' if ':' in here else here}:{listen.port}", None


def key_of(entry: TenantRoster, tenant: str, version: int) -> Key:
    """The key of a version. Raises SetupError with the versions that the tenant has."""
    if version not in entry.keys:
        known = ", ".join(str(number) for number in sorted(entry.keys)) or "none"
        raise SetupError([f"keys.yaml has no key version {version} for {tenant}; it has {known}"])
    return entry.keys[version]


def registry_of(config: Path) -> Registry:
    """All plugins of instance.yaml; without a valid one, the installed ones: crm config check reports it."""
    from crm_core.settings.installation import load_plugins

    settings = None
    with suppress(SetupError):
        settings = load_instance_outline(config / "instance.yaml")
    return build_registry(load_plugins(settings))


def read_roster(path: Path, registry: Registry) -> Roster:
    """The roster with its keys. Raises SetupError."""
    return load_roster(path, sections=registry.sections, schemes=registry.schemes, environ=os.environ)


def read_outline(path: Path, registry: Registry) -> Roster:
    """The roster without its keys. Raises SetupError."""
    return load_roster_outline(path, sections=registry.sections, schemes=registry.schemes)


def as_readable(path: Path, registry: Registry) -> Callable[[Path], object]:
    """A check of an edited roster: with its keys if they can be read here, else without."""
    try:
        read_roster(path, registry)
    except SetupError:
        return lambda edited: read_outline(edited, registry)
    return lambda edited: read_roster(edited, registry)

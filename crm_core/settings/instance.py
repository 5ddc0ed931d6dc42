"""instance.yaml: the instance's code, addresses, storage and limits."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from crm_core.model.sources import Network
from crm_core.settings.document import Items, MappingMember, Node, Scalar
from crm_core.settings.document import Mapping as MappingNode
from crm_core.settings.examples import BUILT_IN
from crm_core.settings.origin import public_origin
from crm_core.settings.paths import absolute, existing_folder
from crm_core.settings.places import FileProblem, Place, Wrong, closest, hint, named, setup_error
from crm_core.settings.reading import (
    Members,
    boolean,
    host_port,
    integer,
    list_of,
    mapping_of,
    matching,
    name,
    networks,
    read_file,
    set_of,
    text,
)
from crm_core.settings.records import RecordSettings, read_records
from crm_core.settings.secrets import References, Secrets
from crm_core.settings.sync import SyncSettings, read_sync

T = TypeVar("T")

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
MEMBERS = (
    "instance",
    "listen",
    "public_url",
    "tenants_dir",
    "storage",
    "sync",
    "records",
    "trusted_proxies",
    "operators",
    "allowed_origins",
    "secret_key",
    "plugins",
)
_PLUGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Listen(msgspec.Struct, frozen=True):
    """Where to listen: ``host`` and ``port`` (0: any free one), or the path of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 8000
    unix: Path | None = None

    def __str__(self) -> str:
        if self.unix is not None:
            return f"unix:{self.unix}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StorageSettings(msgspec.Struct, frozen=True):
    """The backend of the data, and its options, which may contain passwords.

    ``others``: backends by name to which ``crm migrate --to`` can copy the data.
    """

    backend: str
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)
    place: Place | None = None
    others: Mapping[str, StorageSettings] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"StorageSettings(backend={self.backend!r})"

    def located(self, problem: str) -> str:
        """A problem that a backend has with its options (``storage: ...``), with their place in the file."""
        place = self.place or Place("instance.yaml", 1, 1)
        return place.describe(problem.removeprefix("storage: ")) if problem.startswith("storage: ") else problem

    def require(self, backends: Collection[str]) -> None:
        """Raise SetupError if one of the backends does not exist."""
        problems = []
        for storage in (self, *self.others.values()):
            if storage.backend not in backends:
                place = storage.place or Place("instance.yaml", 1, 1)
                problems.append(FileProblem(place, unknown_backend(storage.backend, backends)))
        if problems:
            raise setup_error(problems)


def unknown_backend(name: str, backends: Collection[str]) -> str:
    """That there is no such backend, and which ones there are."""
    return f"there is {named('no storage backend', name)}; {hint(name, backends)}"


class PluginSettings(msgspec.Struct, frozen=True):
    """Plugins not to load, by name, and folders of lone plugin files."""

    disabled: frozenset[str] = frozenset()
    folders: tuple[Path, ...] = ()
    places: Mapping[str, Place] = msgspec.field(default_factory=dict)

    def require(self, names: Collection[str]) -> None:
        """Raise SetupError if a name under ``disabled`` is not that of a plugin."""
        problems = []
        for plugin in self.disabled.difference(names):
            near = closest(plugin, names)
            fix = f"did you mean `{near}`?" if near else "remove it; `crm plugins` lists the plugins"
            place = self.places.get(plugin, Place("instance.yaml", 1, 1))
            problems.append(FileProblem(place, f"there is {named('no plugin', plugin)}; {fix}"))
        if problems:
            raise setup_error(problems)


class InstanceSettings(msgspec.Struct, frozen=True):
    """All of instance.yaml. ``secret_keys``: the first one signs and seals, all of them verify and open.

    ``public_url``: the origin by which browsers reach the instance, for links in emails.
    ``allowed_origins``: those of browser apps that use the API. ``translations``: a folder of catalogues, if it exists.
    ``options_nodes``: the members that belong to plugins, not yet read; see ``options.read_options``.
    """

    instance: str
    tenants_dir: Path
    secret_keys: tuple[bytes, ...]
    storage: StorageSettings
    listen: Listen = Listen()
    public_url: str | None = None
    sync: SyncSettings = SyncSettings()
    records: RecordSettings = RecordSettings()
    trusted_proxies: tuple[Network, ...] = ()
    operators: tuple[Network, ...] = LOOPBACK
    allowed_origins: tuple[str, ...] = ()
    plugins: PluginSettings = PluginSettings()
    translations: Path = Path("translations")
    options_nodes: Mapping[str, MappingMember] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"InstanceSettings(instance={self.instance!r})"


def load_instance(path: Path, *, environ: Mapping[str, str]) -> InstanceSettings:
    """The settings of the instance. Raises SetupError with every problem of the file."""
    secrets = Secrets(environ, path.parent)
    return read_file(path, lambda node: _instance(node, path.parent, secrets))


def load_instance_outline(path: Path) -> InstanceSettings:
    """The settings without secrets, for commands that need none. Raises SetupError."""
    return read_file(path, lambda node: _instance(node, path.parent, References()))


def _instance(node: Node, folder: Path, secrets: Secrets | References) -> InstanceSettings:
    members = Members(node)
    code = members.required("instance", name, "eu1")
    keys = members.required("secret_key", one_or_many(secrets.plain_or_key), "env:CRM_SECRET_KEY")
    settings = InstanceSettings(
        instance=code or "",
        secret_keys=keys or (),
        tenants_dir=members.get(
            "tenants_dir", lambda value: absolute(value, folder, text(value)), absolute(node, folder, "../tenants")
        ),
        listen=members.get("listen", lambda value: read_listen(value, folder), Listen()),
        public_url=members.get("public_url", public_origin, None),
        storage=members.get("storage", lambda value: _storage(value, secrets), StorageSettings(_default_backend())),
        sync=members.get("sync", read_sync, SyncSettings()),
        records=members.get("records", read_records, RecordSettings()),
        trusted_proxies=members.get("trusted_proxies", networks, ()),
        operators=members.get("operators", networks, LOOPBACK),
        allowed_origins=members.get("allowed_origins", list_of(public_origin, unique="origin"), ()),
        plugins=members.get("plugins", lambda value: read_plugins(value, folder), PluginSettings()),
        translations=folder / "translations",
        options_nodes={member.name: member for member in members.rest()},  # last: the other members have been read
    )
    members.done(others=True)
    return settings


def one_or_many(read: Callable[[Node], T]) -> Callable[[Node], tuple[T, ...]]:
    """A value, or a list of at least one."""

    def read_either(node: Node) -> tuple[T, ...]:
        return list_of(read, least=1)(node) if isinstance(node, Items) else (read(node),)

    return read_either


def read_listen(node: Node, folder: Path) -> Listen:
    """An address to listen on; the path of a socket is relative to the file's folder."""
    written = text(node)
    if not written.startswith("unix:"):
        host, port = host_port(node)
        return Listen(host, port)
    path = absolute(node, folder, written.removeprefix("unix:"))
    if written == "unix:" or len(os.fsencode(path)) > 100:  # the kernel accepts 107 bytes; a suffix must fit
        raise Wrong.at(
            node.place, "unix: must be followed by a path of at most 100 bytes; write unix:/run/crm/eu1.sock"
        )
    return Listen(unix=path)


def _storage(node: Node, secrets: Secrets | References) -> StorageSettings:
    members = Members(node)
    backend = members.get(
        "backend", matching(_PLUGIN, "the name of a storage backend; `crm plugins` lists them"), _default_backend()
    )
    others = members.get(
        "others", lambda value: mapping_of(value, lambda member: _other(member, secrets), "backends"), {}
    )
    members.done(others=True)
    entry = members.find("backend")
    options = _options(MappingNode(node.place, members.rest()), secrets)
    return StorageSettings(backend, options, entry.value.place if entry else node.place, others)


def _other(member: MappingMember, secrets: Secrets | References) -> StorageSettings:
    return StorageSettings(member.name, _options(member.value, secrets), member.place)


def _options(node: Node, secrets: Secrets | References) -> dict[str, object]:
    return mapping_of(node, lambda option: _option(option.value, secrets), "options")


def _default_backend() -> str:
    """The default backend, from a file: no code of the core names a plugin."""
    return read_file(BUILT_IN / "instance.yaml", lambda node: Members(node).get("backend", text, ""))


def _option(node: Node, secrets: Secrets | References) -> object:
    """Plain data; texts may be references, since addresses of databases contain passwords."""
    if isinstance(node, Scalar):
        value = untyped(node)
        return secrets.value(node) if isinstance(value, str) else value
    if isinstance(node, Items):
        return list_of(lambda item: _option(item, secrets))(node)
    return _options(node, secrets)


def untyped(node: Node) -> object:
    """A node as plain data: texts, whole numbers, true, false, null, lists, mappings."""
    if isinstance(node, Items):
        return [untyped(item) for item in node.items]
    if not isinstance(node, Scalar):
        return {member.name: untyped(member.value) for member in node.members}
    if node.null:
        return None
    for read in (boolean, integer(-(2**53))):
        with suppress(Wrong):
            return read(node)
    return node.text


def read_plugins(node: Node, folder: Path) -> PluginSettings:
    """The member ``plugins``."""
    members = Members(node)
    places: dict[str, Place] = {}

    def read_disabled(item: Node) -> str:
        written = matching(_PLUGIN, "the name of a plugin; `crm plugins` lists them")(item)
        places.setdefault(written, item.place)
        return written

    disabled = members.get("disabled", set_of(read_disabled), frozenset[str]())
    folders = members.get("folders", list_of(lambda value: existing_folder(value, folder)), ())
    members.done()
    return PluginSettings(disabled, folders, places)

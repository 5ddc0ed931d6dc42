"""instances.yaml of the manager: where each instance is served."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from crm_core.model.sources import Network
from crm_core.settings.document import Items, MappingMember, Node, is_there
from crm_core.settings.instance import LOOPBACK, Listen, read_listen
from crm_core.settings.places import FileProblem, Place, Wrong, quoted, setup_error
from crm_core.settings.reading import (
    LARGEST_PORT,
    Members,
    check_name,
    is_host,
    list_of,
    mapping_of,
    networks,
    read_file,
    text,
)

_ORIGIN = re.compile(r"(http://(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?)/?")
_SAMPLE = '{eu1: {upstreams: ["http://127.0.0.1:8000"]}}'
_LIKE = 'write one such as "http://127.0.0.1:8000" or "unix:/run/crm/eu1.sock"'


class UpstreamAddress(msgspec.Struct, frozen=True):
    """A process that serves an instance: an origin (``http://127.0.0.1:8000``, no final slash), or a unix socket.

    One that is ``drained`` gets no new requests.
    """

    url: str | None = None
    unix: Path | None = None
    drained: bool = False

    def __str__(self) -> str:
        return self.url if self.url is not None else f"unix:{self.unix}"


class InstancesSettings(msgspec.Struct, frozen=True):
    """Where the manager listens, and the upstreams of each instance code.

    ``trusted_proxies``: those in front of the manager whose forwarded headers count. ``operators``: the peers that may
    see ``/-/instances``.
    """

    listen: Listen
    instances: Mapping[str, tuple[UpstreamAddress, ...]]
    trusted_proxies: tuple[Network, ...] = ()
    operators: tuple[Network, ...] = msgspec.field(default=LOOPBACK)


def load_instances(path: Path) -> InstancesSettings:
    """The manager's settings. Raises SetupError with every problem of the file."""
    if not is_there(path):  # `crm init` writes the files of an instance, not this one
        message = f"the file is not there; looked for it at {path}, write one with `instances: {_SAMPLE}`"
        raise setup_error([FileProblem(Place(path.name, 1, 1), message)])
    return read_file(path, lambda node: _instances(node, path.parent))


class _InstancesReader:
    """Reads instances and refuses an upstream that appears twice: a process serves one instance."""

    def __init__(self, folder: Path, listen: Listen) -> None:
        self.folder = folder
        self.listen = listen
        self.places: dict[str, Place] = {}

    def instance(self, member: MappingMember) -> tuple[UpstreamAddress, ...]:
        check_name(member.name, member.place)
        members = Members(member.value, "the instance's members")
        upstreams = members.required("upstreams", list_of(self.upstream, least=1), '["http://127.0.0.1:8000"]')
        drained = members.get("drained", list_of(self.address, unique="upstream"), ())
        entry = members.find("drained")
        items = entry.value.items if entry is not None and isinstance(entry.value, Items) else ()
        for address, item in zip(drained, items, strict=False):  # none are drained if the list could not be read
            if upstreams is not None and address not in upstreams:
                message = f"{quoted(str(address))} is not one of the instance's upstreams; write it as it is there"
                members.wrong(item.place, message)
        members.done()
        assert upstreams is not None
        return tuple(msgspec.structs.replace(address, drained=address in drained) for address in upstreams)

    def upstream(self, node: Node) -> UpstreamAddress:
        upstream = self.address(node)
        first = self.places.setdefault(str(upstream), node.place)
        if first is not node.place:
            message = f"this upstream appears a second time, first in line {first.line}; each serves one instance"
            raise Wrong.at(node.place, message)
        if str(upstream) in (f"http://{self.listen}", str(self.listen)):
            raise Wrong.at(node.place, "the manager itself listens here; write the address of the instance")
        return upstream

    def address(self, node: Node) -> UpstreamAddress:
        written = text(node)
        if written.startswith("unix:"):
            return UpstreamAddress(unix=read_listen(node, self.folder).unix)
        if written.startswith("https://"):
            raise Wrong.at(node.place, "instances use http; end TLS in front of the manager")
        origin = _ORIGIN.fullmatch(written)
        if origin is None or int(origin[3] or 0) > LARGEST_PORT or not is_host(origin[2].strip("[]")):
            raise Wrong.at(node.place, f"{quoted(written)} is not an upstream; {_LIKE}")
        return UpstreamAddress(url=origin[1])


def _instances(node: Node, folder: Path) -> InstancesSettings:
    members = Members(node)
    listen = members.get("listen", lambda value: read_listen(value, folder), Listen(port=8080))
    proxies = members.get("trusted_proxies", networks, ())
    operators = members.get("operators", networks, LOOPBACK)
    reader = _InstancesReader(folder, listen)
    instances = members.required("instances", lambda value: mapping_of(value, reader.instance, "instances"), _SAMPLE)
    members.done()
    assert instances is not None
    return InstancesSettings(listen, instances, proxies, operators)

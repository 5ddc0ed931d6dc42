"""instances.yaml, the manager's: which instance is served where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crm_core.settings.document import Member, Node
from crm_core.settings.instance import Listen, read_listen
from crm_core.settings.places import Wrong, shown
from crm_core.settings.reading import Members, check_name, each, many, read_file, text

_ORIGIN = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[1-9][0-9]{0,4})?/?")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A process that serves an instance: an origin (``http://127.0.0.1:8000``, no final slash), or a unix socket."""

    url: str | None = None
    unix: Path | None = None

    def __str__(self) -> str:
        return self.url if self.url is not None else f"unix:{self.unix}"


@dataclass(frozen=True, slots=True)
class InstancesSettings:
    """Where the manager listens, and the upstreams of each instance code, in the order to try."""

    listen: Listen
    instances: Mapping[str, tuple[Upstream, ...]]


def load_instances(path: Path) -> InstancesSettings:
    """The manager's settings. Raises SetupError with every problem of the file."""
    return read_file(path, lambda node: _instances(node, path.parent))


def _instances(node: Node, folder: Path) -> InstancesSettings:
    members = Members(node)
    listen = members.get("listen", lambda value: read_listen(value, folder), Listen(port=8080))
    instances = members.required(
        "instances",
        lambda value: each(value, lambda one: _instance(one, folder), "instances"),
        '{eu1: {upstreams: ["http://127.0.0.1:8000"]}}',
    )
    members.done()
    assert instances is not None
    return InstancesSettings(listen, instances)


def _instance(member: Member, folder: Path) -> tuple[Upstream, ...]:
    check_name(member.name, member.place)
    members = Members(member.value, "the instance's members")
    read_upstreams = many(lambda node: _upstream(node, folder), least=1)
    upstreams = members.required("upstreams", read_upstreams, '["http://127.0.0.1:8000"]')
    members.done()
    assert upstreams is not None
    return upstreams


def _upstream(node: Node, folder: Path) -> Upstream:
    written = text(node)
    if written.startswith("unix:"):
        return Upstream(unix=read_listen(node, folder).unix)
    if _ORIGIN.fullmatch(written) is None:
        told = f'{shown(written)} is no upstream; write one such as "http://127.0.0.1:8000" or "unix:/run/crm/eu1.sock"'
        raise Wrong.at(node.place, told)
    return Upstream(url=written.rstrip("/"))

"""What an instance.yaml with mistakes still says: with it the rest of the file can be checked in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from crm_core.settings.document import MappingMember, parse, read_text
from crm_core.settings.instance import MEMBERS, PluginSettings, read_plugins
from crm_core.settings.places import Wrong
from crm_core.settings.reading import Members


class UnloadedInstance(msgspec.Struct, frozen=True):
    """The plugins that the file names, and the members that belong to plugins, as in ``InstanceSettings``."""

    plugins: PluginSettings
    options_nodes: Mapping[str, MappingMember]


def salvage(path: Path) -> UnloadedInstance | None:
    """The parts of a file that does not load; None if it does not say which plugins the other members belong to."""
    try:
        root, _ = parse(read_text(path), path.name)
        members = Members(root)
    except Wrong:
        return None
    plugins = members.get("plugins", lambda value: read_plugins(value, path.parent), None)
    if members.problems:
        return None
    options_nodes = {member.name: member for member in members.node.members if member.name not in MEMBERS}
    return UnloadedInstance(plugins or PluginSettings(), options_nodes)

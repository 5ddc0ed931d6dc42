"""The members of instance.yaml that belong to plugins, read by the types that the plugins declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import steps_of
from crm_core.model.fields import convert, struct_fields
from crm_core.settings.document import Items, MappingMember, Node
from crm_core.settings.document import Mapping as MappingNode
from crm_core.settings.instance import MEMBERS, InstanceSettings, untyped
from crm_core.settings.places import FileProblem, Place, Wrong, hint, named, quoted, setup_error
from crm_core.settings.reading import Members
from crm_core.settings.salvage import UnloadedInstance


def read_options(
    settings: InstanceSettings | UnloadedInstance, types: Mapping[str, type[msgspec.Struct]]
) -> dict[str, msgspec.Struct]:
    """The options of each name in ``types``, with the type's defaults for members that the file leaves out.

    A member without a type is a problem too. Raises SetupError with every problem.
    """
    problems: list[FileProblem] = []
    options: dict[str, msgspec.Struct] = {}
    for name, member in settings.options_nodes.items():
        if name not in types:
            message = f"{named('unknown member', name)}; {hint(name, [*MEMBERS, *types])}"
            if disabled := ", ".join(sorted(settings.plugins.disabled)):
                message += f"; if it belongs to a plugin that is disabled ({disabled}), comment it out"
            problems.append(FileProblem(member.place, message))
    for name, option_type in types.items():
        if name in MEMBERS:
            message = f"the core owns the member {quoted(name)}; give the payload type with these options another NAME"
            problems.append(FileProblem(Place("instance.yaml", 1, 1), message))
            continue
        try:
            options[name] = _read(settings.options_nodes.get(name), name, option_type)
        except Wrong as wrong:
            problems.extend(wrong.problems)
    if problems:
        raise setup_error(problems)
    return options


def _read(member: MappingMember | None, name: str, option_type: type[msgspec.Struct]) -> msgspec.Struct:
    place = member.place if member is not None else Place("instance.yaml", 1, 1)
    empty = MappingNode(place, ())
    members = Members(empty if member is None else member.value, f"the options of {quoted(name)}")
    values: dict[str, Any] = {}
    for option in struct_fields(option_type):
        entry = members.find(option.encode_name)
        if entry is None:
            if option.required:
                members.wrong(place, f"`{option.encode_name}` is missing in {quoted(name)}; add it")
            continue
        values[option.name], findings = convert(untyped(entry.value), option.type)
        members.problems += (_problem(finding, entry.value) for finding in findings)
    members.done()
    return _validated(option_type, values, place, name)


def _validated(option_type: type[msgspec.Struct], values: Mapping[str, Any], place: Place, name: str) -> msgspec.Struct:
    """The options as an instance of their type, which may check members against each other."""
    try:
        return option_type(**values)
    except (ValueError, TypeError) as error:  # raised by a __post_init__ to refuse them
        raise Wrong.at(place, f"{error}; fix these options") from None
    except Exception as error:  # noqa: BLE001 -- foreign code, as a default_factory or a __post_init__ are
        message = f"the type of the options {quoted(name)} raised {type(error).__name__}; fix them or the plugin"
        raise Wrong.at(place, message) from None


def _problem(finding: Finding, node: Node) -> FileProblem:
    """A finding, with the place of its value."""
    for step in steps_of(finding.pointer):
        node = _inside(node, step)
    return FileProblem(node.place, f"{finding.message[:1].lower()}{finding.message[1:].rstrip('.')}; change this value")


def _inside(node: Node, step: str) -> Node:
    if isinstance(node, Items):
        return node.items[int(step)]
    if isinstance(node, MappingNode):
        for member in node.members:
            if member.name == step:
                return member.value
    return node

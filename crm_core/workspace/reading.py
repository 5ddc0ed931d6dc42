"""Reading stored sections one at a time: type, schema and meaning, or the fault why a section cannot be read.

A section outlives the plugin that wrote it. A fault affects only its section, which stays stored and counts as absent
until it is pushed whole, restored, or read by another version of the plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from crm_core.errors import PluginFailed
from crm_core.model.diff import pointer_to
from crm_core.model.fields import convert
from crm_core.model.frozen import frozen
from crm_core.model.secret_members import secret_members, value_at, without_secrets
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.payload_calls import CAPABILITIES, Meaning, PayloadCalls
from crm_core.workspace.section import Section

_SET: Final = {"set": True}


class SectionFault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stored section cannot be read.

    ``plugin`` is empty if none brings its type; ``member``: a pointer into the section, empty for all of it; ``hook``:
    the method that failed, or empty, and ``cause``: what it raised and where, for operators. ``withholds``: the
    capabilities of its type, which the workspace goes without.
    """

    section: str
    plugin: str
    reason: str
    member: str = ""
    hook: str = ""
    cause: str = ""
    withholds: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The fault and its remedy, for people."""
        if not self.plugin:
            return (
                f"The section {self.section} is stored, but no plugin brings its payload type. Its data stays stored. "
                "Install or enable the plugin."
            )
        place = f"{self.section}, member {self.member}" if self.member else self.section
        return (
            f"The plugin {self.plugin} cannot read the stored section {place}: {self.reason} Push the "
            "section whole (strategy replace), restore a revision, or install a version of the plugin that reads it."
        )


class _Unreadable(Exception):
    def __init__(self, reason: str, member: str = "", hook: str = "", cause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.member, self.hook, self.cause = reason, member, hook, cause


class Reading(msgspec.Struct, frozen=True):
    """A stored section as its type reads it: ``section`` has the type's present schema, None if it cannot be read.

    ``part`` makes a new instance of SECTION without secrets, or returns one that cannot be changed.
    """

    stored: Section
    section: Section | None
    meaning: Meaning = Meaning()
    fault: SectionFault | None = None
    part: Callable[[], Any] = lambda: None

    @property
    def best(self) -> Section:
        """The section as read, else as stored."""
        return self.section or self.stored

    def grants_as(self, other: Reading | None) -> bool:
        """Whether it has the same effect on modules and rights as another reading of its section, or as none."""
        granted, fault = (None, None) if other is None else (other.meaning.entitlements, other.fault)
        return self.meaning.entitlements == granted and self.fault == fault


def read_section(stored: Section, calls: PayloadCalls, shared: Any = None) -> Reading:
    """Read a stored section; a fault of its type is part of the outcome.

    ``shared``: an instance of SECTION with its data that no plugin can change, if there is one.
    """
    payload_type = calls.sections.get(stored.name)
    if payload_type is None:
        return Reading(stored, None, fault=SectionFault(section=stored.name, plugin="", reason="No plugin brings it."))
    try:
        section = _in_present_schema(stored, payload_type, calls)
        typed, part = _typed(section, payload_type) if shared is None else (shared, lambda: shared)
        unused = [typed]  # a plugin may change its instance, so each call gets another one
        meaning = _meaning(payload_type, lambda: unused.pop() if unused else part(), calls)
        return Reading(stored, section, meaning, part=part)
    except _Unreadable as error:
        fault = SectionFault(
            section=stored.name,
            plugin=calls.owner(stored.name),
            reason=error.reason,
            member=error.member,
            hook=error.hook,
            cause=error.cause,
            withholds=tuple(capability for capability in CAPABILITIES if calls.offers(stored.name, capability)),
        )
        return Reading(stored, None, fault=fault)


def upgraded(data: Mapping[str, Any], schema: int, payload_type: PayloadType, calls: PayloadCalls) -> dict[str, Any]:
    """Data of an earlier schema, which has no secrets, in the type's present schema. Raises ValueError."""
    try:
        return _upgraded(data, {}, schema, payload_type, calls)[0]
    except _Unreadable as error:
        raise ValueError(error.reason) from error


def _typed(section: Section, payload_type: PayloadType) -> tuple[Any, Callable[[], Any]]:
    """A section without its secrets as an instance of its type, and a function that makes another one."""
    members = secret_members(payload_type.SECTION)
    bare = frozen(without_secrets(section.data, members) if members else section.data)
    make = partial(msgspec.convert, bare, payload_type.SECTION)
    try:
        return make(), make  # without ``check`` of texts: it judges pushes, and an earlier version judged otherwise
    except msgspec.ValidationError:
        finding = convert(bare, payload_type.SECTION)[1][0]
        raise _Unreadable(finding.message, finding.pointer) from None


def _meaning(payload_type: PayloadType, part: Callable[[], Any], calls: PayloadCalls) -> Meaning:
    try:
        return calls.meaning(payload_type, part)
    except PluginFailed as error:
        raise _failed(error) from error


def _failed(error: PluginFailed) -> _Unreadable:
    hook = str(error.evidence["hook"])
    return _Unreadable(f"Its method {hook} failed.", hook=hook, cause=error.operator_detail)


def _in_present_schema(stored: Section, payload_type: PayloadType, calls: PayloadCalls) -> Section:
    data, sealed = stored.data, stored.sealed
    if stored.schema != payload_type.SCHEMA_VERSION:
        data, sealed = _upgraded(data, sealed, stored.schema, payload_type, calls)
    for member in secret_members(payload_type.SECTION):
        if value_at(data, member.path) not in (None, _SET):
            raise _Unreadable("It is a secret now, and was stored when it was none.", pointer_to(*member.path))
    if stored.schema == payload_type.SCHEMA_VERSION:
        return stored
    return msgspec.structs.replace(stored, data=data, sealed=sealed, schema=payload_type.SCHEMA_VERSION)


def _upgraded(
    data: Mapping[str, Any], sealed: Mapping[str, str], schema: int, payload_type: PayloadType, calls: PayloadCalls
) -> tuple[dict[str, Any], dict[str, str]]:
    """Data, and its sealed secrets by pointer, in the type's present schema. Raises _Unreadable."""
    present = payload_type.SCHEMA_VERSION
    if schema == present:
        return dict(data), dict(sealed)
    if schema > present:
        raise _Unreadable(f"It was stored with schema version {schema}, and the plugin reads up to {present}.")
    try:
        changed = calls.upgrade(payload_type, _marked(data, sealed), schema)
    except PluginFailed as error:
        raise _failed(error) from error
    moved: dict[str, str] = {}
    unmarked = _unmarked(changed, sealed, (), moved)
    known = {pointer_to(*member.path) for member in secret_members(payload_type.SECTION)}
    if misplaced := sorted(set(moved) - known):
        raise _Unreadable("upgrade put a secret where SECTION has none.", misplaced[0], "upgrade")
    return unmarked, moved


def _marked(value: Any, sealed: Mapping[str, str], path: tuple[str, ...] = ()) -> Any:
    """A plain copy in which each secret is marked with its pointer."""
    if isinstance(value, dict):
        if (pointer := pointer_to(*path)) in sealed:
            return {**_SET, "at": pointer}
        return {name: _marked(item, sealed, (*path, name)) for name, item in value.items()}
    return [_marked(item, {}) for item in value] if isinstance(value, list) else value


def _unmarked(value: Any, sealed: Mapping[str, str], path: tuple[str, ...], moved: dict[str, str]) -> Any:
    """A copy without these marks; ``moved`` receives the sealed secrets by their new pointers."""
    if isinstance(value, dict):
        if value.keys() == {"set", "at"} and value["at"] in sealed:
            moved[pointer_to(*path)] = sealed[value["at"]]
            return dict(_SET)
        return {name: _unmarked(item, sealed, (*path, name), moved) for name, item in value.items()}
    if isinstance(value, list):
        return [_unmarked(item, sealed, (*path, str(at)), moved) for at, item in enumerate(value)]
    return value

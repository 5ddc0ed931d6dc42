"""The outcome of a push for one section: its new data, its secrets apart from it, and its changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec

from crm_core.errors import Finding
from crm_core.model.canonical import without_form
from crm_core.model.diff import Change, differences, pointer_to, steps_of
from crm_core.model.fields import convert, is_immutable, without_nulls
from crm_core.model.frozen import frozen
from crm_core.model.patch import merge_patch
from crm_core.model.secret_members import SecretMember, redacted, secret_members, value_at, without_secrets
from crm_core.plugin.payload import PayloadType
from crm_core.sync.salvage import Salvaged, salvage
from crm_core.workspace import Section

_SET: Final = {"set": True}
_WHOLE: Final = (
    "The stored section cannot be read by the present version of its payload type, so nothing can be merged into it. "
    "Send the whole section with strategy replace."
)


class _Mark(msgspec.Struct, frozen=True):
    """In place of a secret while sections are compared: a new one is a change."""

    is_new: bool


_OLD, _NEW = _Mark(is_new=False), _Mark(is_new=True)


class SectionOutcome(msgspec.Struct, frozen=True):
    """A section as a push would leave it.

    ``data`` shows secrets as set; ``typed`` makes an instance of the section's type, a new one at each call, so that a
    plugin that changes its instance changes nothing else (None for an invalid part); or it returns ``shared``.
    ``new_secrets`` (in the clear) and ``old_secrets`` (sealed) are by pointer into the section. ``required``: the names
    of secrets that must be sent again. ``salvaged``: the valid rest of an invalid part. ``patch``: the part as a merge
    sent it; None if the whole section was sent. ``schema``: the SCHEMA_VERSION of its type. ``shared``: the one
    instance of a type without secrets that no plugin can change.
    """

    name: str
    prefix: str
    before: Section | None
    data: dict[str, Any]
    typed: Callable[[], Any] | None
    new_secrets: Mapping[str, str]
    old_secrets: Mapping[str, str]
    findings: tuple[Finding, ...]
    required: tuple[str, ...]
    salvaged: Salvaged | None = None
    patch: Mapping[str, Any] | None = None
    schema: int = 1
    shared: Any = None

    def leaves(self, pointer: str) -> bool:
        """Whether a merge leaves the value at a pointer into the section as it was, without naming it."""
        return self.patch is not None and not _patches(self.patch, steps_of(pointer))

    def changes(self) -> list[Change]:
        """Every change, with pointers that start with the section; a new secret is one."""
        before, sealed = (self.before.data, self.before.sealed) if self.before else ({}, {})
        old = _marked(before, sealed, _OLD)
        new = _marked(_marked(self.data, self.old_secrets, _OLD), self.new_secrets, _NEW)
        found = differences(old, new, pointer_to(self.name))
        if new is not self.data or old is not before:
            found = [Change(change.pointer, _shown(change.before), _shown(change.after)) for change in found]
        return sorted(found, key=attrgetter("pointer"))


def outcome_of(
    name: str,
    part: Any,
    *,
    prefix: str,
    strategy: Literal["replace", "merge"],
    payload_type: PayloadType,
    before: Section | None,
    unreadable: bool = False,
) -> SectionOutcome:
    """The outcome of one part of a push, with the findings of its type.

    ``unreadable``: ``before`` is as it was stored, since its type cannot read it; nothing can be merged into it.
    """
    if strategy == "replace":
        return _outcome(name, prefix, before, frozen(without_nulls(part)), payload_type, [])
    if unreadable:
        return SectionOutcome(
            name, prefix, before, {}, None, {}, {}, (Finding(prefix, "section_unreadable", _WHOLE),), ()
        )
    members = secret_members(payload_type.SECTION)
    base = without_secrets(before.data, members) if before is not None else {}
    wanted = frozen(without_nulls(merge_patch(base, part)))
    stored = () if before is None else _stored_secrets(members, before)
    unpatched = [(member, pointer) for member, pointer in stored if not _patches(part, member.path)]
    outcome = _outcome(name, prefix, before, wanted, payload_type, unpatched)
    return msgspec.structs.replace(outcome, patch=frozen(part)) if isinstance(part, dict) else outcome


def restored(before: Section, data: Mapping[str, Any], payload_type: PayloadType) -> SectionOutcome:
    """The outcome of an earlier revision's data: current secrets stay, unless they would be sent to another place."""
    members = secret_members(payload_type.SECTION)
    wanted = frozen(without_secrets(data, members))
    return _outcome(
        before.name, pointer_to(before.name), before, wanted, payload_type, _stored_secrets(members, before)
    )


def _outcome(  # noqa: PLR0917 -- the parts of an outcome in their order
    name: str,
    prefix: str,
    before: Section | None,
    wanted: Any,
    payload_type: PayloadType,
    stored: list[tuple[SecretMember, str]],
) -> SectionOutcome:
    """The outcome of a section's data. ``stored``: the secrets that stay, if they are sent to the same place."""
    section = payload_type.SECTION
    assert section is not None
    valid, findings = convert(wanted, section)
    if valid is None:
        found = tuple(finding.under(prefix) for finding in findings)
        return SectionOutcome(name, prefix, before, {}, None, {}, {}, found, (), salvage(wanted, section, findings))
    members, unused = secret_members(section), [valid]
    shared = valid if not members and is_immutable(section) else None

    def typed() -> Any:
        if shared is not None:
            return shared
        return unused.pop() if unused else msgspec.convert(wanted, section)  # they share frozen data

    outcome = SectionOutcome(
        name=name,
        prefix=prefix,
        before=before,
        data=wanted,
        typed=typed,
        new_secrets={},
        old_secrets={},
        findings=tuple(_inexact(prefix, wanted)),
        required=(),
        schema=payload_type.SCHEMA_VERSION,
        shared=shared,
    )
    return _with_secrets(outcome, members, stored) if members else outcome


def _with_secrets(
    outcome: SectionOutcome, members: tuple[SecretMember, ...], stored: list[tuple[SecretMember, str]]
) -> SectionOutcome:
    """The outcome of data that may contain secrets, apart from them. ``stored``: as for ``_outcome``."""
    before, wanted = outcome.before, outcome.data
    base, sealed = (without_secrets(before.data, members), before.sealed) if before and stored else ({}, {})
    moved = {member: places for member, _ in stored if (places := _moved(member, base, wanted))}
    old_secrets = {pointer: sealed[pointer] for member, pointer in stored if member not in moved}
    return msgspec.structs.replace(
        outcome,
        data=frozen(_marked(redacted(wanted, members), old_secrets, _SET)),
        new_secrets={pointer_to(*m.path): value for m in members if (value := value_at(wanted, m.path)) is not None},
        old_secrets=old_secrets,
        findings=(*outcome.findings, *(_required(outcome.prefix, *one) for one in moved.items())),
        required=tuple(member.path[-1] for member in moved),
    )


def _stored_secrets(members: tuple[SecretMember, ...], before: Section) -> list[tuple[SecretMember, str]]:
    """The secrets that a section has, with their pointers."""
    return [(member, pointer) for member in members if (pointer := pointer_to(*member.path)) in before.sealed]


def _patches(part: Any, path: tuple[str, ...]) -> bool:
    """Whether a merge patch sets or removes the member at the path, or anything above it."""
    if not path:
        return True
    for name in path[:-1]:
        if not isinstance(part, dict):
            return True
        if name not in part:
            return False
        part = part[name]
    return not isinstance(part, dict) or path[-1] in part


def _moved(member: SecretMember, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The changed members of those that say where the secret is sent."""
    above = member.path[:-1]
    return [name for name in member.bound_to if value_at(before, (*above, name)) != value_at(after, (*above, name))]


def _required(prefix: str, member: SecretMember, moved: list[str]) -> Finding:
    message = f"{', '.join(moved)} changed, so the stored secret is not used. Push the section with its secret."
    return Finding(prefix + pointer_to(*member.path), f"{member.path[-1]}_required", message)


def _inexact(prefix: str, wanted: dict[str, Any]) -> Iterator[Finding]:
    """Numbers without a canonical form, of which no hash can be made."""
    for pointer in without_form(wanted):
        yield Finding(prefix + pointer, "invalid_value", "This number is beyond 2^53 - 1. Send it as text.")


def _marked(data: Mapping[str, Any], pointers: Collection[str], mark: Any) -> Mapping[str, Any]:
    """The data with a mark for each secret; the objects that contain them are copied."""
    if not pointers:
        return data
    whole = dict(data)
    for pointer in pointers:
        *above, last = pointer.removeprefix("/").split("/")
        inner = whole
        for name in above:
            inner[name] = dict(inner.get(name) or {})
            inner = inner[name]
        inner[last] = mark
    return whole


def _shown(value: Any) -> Any:
    return dict(_SET) if isinstance(value, _Mark) else value


class PartShape(msgspec.Struct, frozen=True):
    """A part of a push before it is validated: its section, its pointer into the body, and its data."""

    section: str
    pointer: str
    data: Any

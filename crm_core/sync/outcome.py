"""What a push makes of one section: the data as it would be, its secrets apart, and what changes by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from crm_core.errors import Finding
from crm_core.model.canonical import without_form
from crm_core.model.diff import Change, differences, pointer_to
from crm_core.model.fields import convert, without_nulls
from crm_core.model.frozen import frozen
from crm_core.model.patch import merge_patch
from crm_core.model.secret_members import (
    SecretMember,
    redacted,
    secret_members,
    value_at,
    without_secrets,
)
from crm_core.plugin.payload import PayloadType
from crm_core.sync.salvage import Remains, remains
from crm_core.workspace import Section

_SET: Final = {"set": True}
_KEPT, _FRESH = object(), object()  # a secret while sections are compared: one place, and changed where it is sent anew


class SectionOutcome(msgspec.Struct, frozen=True):
    """A section as a push would leave it.

    ``data`` shows secrets as set; ``typed`` makes an instance of the section's type, another at each call, so that a
    plugin that changes the one it received changes nothing else (None while ``findings`` refuse).
    ``fresh`` holds new secrets in the clear and ``kept`` sealed ones, both by pointer into the section. ``required``
    names the secrets that are asked for anew. ``remains``: what fits of a part that as a whole does not.
    """

    name: str
    prefix: str
    before: Section | None
    data: Mapping[str, Any]
    typed: Callable[[], Any] | None
    fresh: Mapping[str, str]
    kept: Mapping[str, str]
    findings: tuple[Finding, ...]
    required: tuple[str, ...]
    remains: Remains | None = None

    def changes(self) -> list[Change]:
        """Every place that differs, with pointers that start with the section; a secret is one place."""
        before, sealed = (self.before.data, self.before.sealed) if self.before else ({}, {})
        old = _marked(before, sealed, _KEPT)
        new = _marked(_marked(self.data, self.kept, _KEPT), self.fresh, _FRESH)
        found = differences(old, new, pointer_to(self.name))
        shown = [Change(change.pointer, _shown(change.before), _shown(change.after)) for change in found]
        return sorted(shown, key=lambda change: change.pointer)


def outcome_of(
    name: str,
    part: Any,
    *,
    prefix: str,
    strategy: Literal["replace", "merge"],
    payload_type: PayloadType,
    before: Section | None,
) -> SectionOutcome:
    """The outcome of one part of a push, with everything that its type finds wrong with it."""
    members = secret_members(payload_type.SECTION)
    base = without_secrets(before.data, members) if before is not None else {}
    wanted = frozen(without_nulls(merge_patch(base, part) if strategy == "merge" else part))
    fits, findings = convert(wanted, payload_type.SECTION)
    if fits is None:
        return _unfit(name, prefix, before, wanted, payload_type, findings)
    kept: dict[str, str] = {}
    required: list[SecretMember] = []
    if strategy == "merge" and before is not None:
        for member, pointer in _left_out(members, part, before):
            if not _moved(member, base, wanted):
                kept[pointer] = before.sealed[pointer]
            else:
                required.append(member)
    fresh = {pointer_to(*m.path): value for m in members if (value := value_at(wanted, m.path)) is not None}
    return SectionOutcome(
        name=name,
        prefix=prefix,
        before=before,
        data=frozen(_marked(redacted(wanted, members), kept, _SET)),
        typed=_maker(wanted, payload_type.SECTION),
        fresh=fresh,
        kept=kept,
        findings=tuple(_told(prefix, wanted, base, required)),
        required=tuple(member.path[-1] for member in required),
    )


def restored(before: Section, data: Mapping[str, Any], payload_type: PayloadType) -> SectionOutcome:
    """The outcome of an earlier revision's data: secrets in force stay, unless they would go to another place."""
    members = secret_members(payload_type.SECTION)
    wanted = frozen(without_secrets(data, members))
    prefix = pointer_to(before.name)
    fits, findings = convert(wanted, payload_type.SECTION)
    if fits is None:
        return _unfit(before.name, prefix, before, wanted, payload_type, findings)
    base = without_secrets(before.data, members)
    held = [(member, pointer) for member in members if (pointer := pointer_to(*member.path)) in before.sealed]
    kept = {pointer: before.sealed[pointer] for member, pointer in held if not _moved(member, base, wanted)}
    required = [member for member, pointer in held if pointer not in kept]
    return SectionOutcome(
        name=before.name,
        prefix=prefix,
        before=before,
        data=frozen(_marked(wanted, kept, _SET)),
        typed=_maker(wanted, payload_type.SECTION),
        fresh={},
        kept=kept,
        findings=tuple(_asked_anew(prefix, member, _moved(member, base, wanted)) for member in required),
        required=tuple(member.path[-1] for member in required),
    )


def _maker(wanted: Any, section: type[msgspec.Struct] | None) -> Callable[[], Any]:
    """Makes instances of a frozen part that fits; what one shares with another cannot be changed."""
    return lambda: msgspec.convert(wanted, section)


def _unfit(  # noqa: PLR0917 -- the parts of an outcome in their order
    name: str,
    prefix: str,
    before: Section | None,
    wanted: Any,
    payload_type: PayloadType,
    findings: tuple[Finding, ...],
) -> SectionOutcome:
    """The outcome of a part that does not fit its section; what fits of it is kept to be judged too."""
    assert payload_type.SECTION is not None
    left = remains(wanted, payload_type.SECTION, findings)
    told = tuple(finding.under(prefix) for finding in findings)
    return SectionOutcome(name, prefix, before, {}, None, {}, {}, told, (), left)


def _left_out(
    members: tuple[SecretMember, ...], part: Mapping[str, Any], before: Section
) -> Iterator[tuple[SecretMember, str]]:
    """The secrets in force that a merge does not speak of."""
    for member in members:
        pointer = pointer_to(*member.path)
        if pointer in before.sealed and not _speaks_of(part, member.path):
            yield member, pointer


def _speaks_of(part: Any, path: tuple[str, ...]) -> bool:
    """Whether a merge patch sets or removes what stands at the path, or anything above it."""
    for name in path[:-1]:
        if not isinstance(part, dict):
            return True
        if name not in part:
            return False
        part = part[name]
    return not isinstance(part, dict) or path[-1] in part


def _moved(member: SecretMember, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changes of the members that say where the secret goes."""
    beside = member.path[:-1]
    return [name for name in member.bound_to if value_at(before, (*beside, name)) != value_at(after, (*beside, name))]


def _asked_anew(prefix: str, member: SecretMember, moved: list[str]) -> Finding:
    told = f"{', '.join(moved)} changed, so the stored secret is not kept; send it anew."
    return Finding(prefix + pointer_to(*member.path), f"{member.path[-1]}_required", told)


def _told(
    prefix: str, wanted: dict[str, Any], base: Mapping[str, Any], required: Iterable[SecretMember]
) -> Iterator[Finding]:
    """Numbers without a canonical form, by whose hash a section is told, and the secrets that are asked for anew."""
    for pointer in without_form(wanted):
        yield Finding(prefix + pointer, "invalid_value", "This number is beyond 2^53 - 1; send it as text.")
    for member in required:
        yield _asked_anew(prefix, member, _moved(member, base, wanted))


def _marked(data: Mapping[str, Any], pointers: Iterable[str], mark: Any) -> dict[str, Any]:
    """The data with each secret shown by a mark; the objects that hold them are copied."""
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
    return dict(_SET) if value in (_KEPT, _FRESH) else value


class PartShape(msgspec.Struct, frozen=True):
    """A part of a push before it is looked at: its section, where it stands in the body, and what it says."""

    section: str
    pointer: str
    data: Any

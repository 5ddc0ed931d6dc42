"""Values as earlier versions stored them: a limit applies to what changes, so a stricter one locks no record."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import steps_of
from crm_core.model.fields import bare, convert, is_struct, struct_fields


def convert_changed(data: Any, type_: Any, before: Any) -> tuple[Any | None, tuple[Finding, ...]]:
    """``convert`` of a stored value after a change; a text or number that is as it was ``before`` is not judged."""
    typed, findings = convert(data, type_)
    if not findings or not before:
        return typed, findings
    changed = tuple(finding for finding in findings if not _is_unchanged(finding, data, before))
    if changed:
        return None, changed
    typed = as_stored(data, type_)
    return (None, findings) if typed is None else (typed, ())


def as_stored(value: Any, type_: Any) -> Any | None:
    """A stored value as an instance of its type, whose limits it may exceed; None if it does not have the type."""
    try:
        return _without_limits(value, type_)
    except (msgspec.ValidationError, TypeError):  # the constructor of a struct names missing members by a TypeError
        return None


def _is_unchanged(finding: Finding, data: Any, before: Any) -> bool:
    if finding.code != "invalid_value":
        return False
    for name in steps_of(finding.pointer):
        data, before = _member(data, name), _member(before, name)
    return isinstance(data, str | int | float) and data == before


def _member(value: Any, name: str) -> Any:
    """The member or item that a step of a pointer names."""
    if isinstance(value, dict):
        return value.get(name)
    return value[int(name)] if isinstance(value, list) and name.isdigit() and int(name) < len(value) else None


def _without_limits(value: Any, type_: Any) -> Any:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        inner = bare(type_)
        if is_struct(inner) and isinstance(value, dict):
            known = {field.name: field for field in struct_fields(inner) if field.encode_name in value}
            return inner(
                **{name: _without_limits(value[field.encode_name], field.type) for name, field in known.items()}
            )
        if get_origin(inner) is list and isinstance(value, list):
            return [_without_limits(item, get_args(inner)[0]) for item in value]
        if get_origin(inner) is dict and isinstance(value, dict):
            return {name: _without_limits(item, get_args(inner)[1]) for name, item in value.items()}
        return msgspec.convert(value, inner)

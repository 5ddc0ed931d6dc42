"""Finds the secrets of a section and removes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args, get_origin

import msgspec

from crm_core.model.fields import bare, extras, is_struct, struct_fields


class SecretMember(msgspec.Struct, frozen=True):
    """A secret: the path of names to it, and the sibling members that say where it is sent."""

    path: tuple[str, ...]
    bound_to: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def secret_members(struct_type: type[msgspec.Struct] | None) -> tuple[SecretMember, ...]:
    """Every member whose Meta has the extra ``secret``. Raises TypeError for one inside an array or a map."""
    return tuple(_members(struct_type, ())) if struct_type is not None else ()


def redacted(data: Mapping[str, Any], members: Iterable[SecretMember]) -> dict[str, Any]:
    """``data`` with ``{"set": true}`` in place of each secret in it; the original is left alone."""
    shown = dict(data)
    for member in members:
        shown = with_value(shown, member.path, {"set": True})
    return shown


def without_secrets(data: Mapping[str, Any], members: Iterable[SecretMember]) -> dict[str, Any]:
    """``data`` without its secrets, set or shown as set; the original is left alone."""
    left = dict(data)
    for member in members:
        left = with_value(left, member.path, None)
    return left


def value_at(data: Any, path: Iterable[str]) -> Any:
    """The value at the end of a path of member names; None if the path leads nowhere."""
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def may_have_secret(data: Any, struct: type[msgspec.Struct] | None) -> bool:
    """Whether data of a section has a secret, perhaps under a wrong name."""
    members = secret_members(struct)
    return any(value_at(data, member.path) is not None for member in members) or (
        bool(members) and _has_unknown(data, struct)
    )


def _has_unknown(data: Any, type_: Any) -> bool:
    """Whether there is anything but the members of the type, and of the objects in it."""
    if not is_struct(inner := bare(type_)):
        return False
    if not isinstance(data, Mapping):
        return data is not None
    fields = {field.encode_name: field.type for field in struct_fields(inner)}
    return any(name not in fields or _has_unknown(item, fields[name]) for name, item in data.items())


def known_pointer(struct: type[msgspec.Struct] | None, pointer: str) -> str:
    """The longest start of a pointer that consists of members of the type, and of positions in their lists."""
    known, inner = "", bare(struct)
    for step in pointer.split("/")[1:]:
        fields = {field.encode_name: field for field in struct_fields(inner)} if is_struct(inner) else {}
        if step in fields:
            inner = bare(fields[step].type)
        elif get_origin(inner) in (list, tuple) and step.isascii() and step.isdigit():
            inner = bare(get_args(inner)[0])
        else:
            break
        known += f"/{step}"
    return known


def with_value(data: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """``data`` with another value at the end of the path, if there is one; None leaves the member out."""
    name, rest = path[0], path[1:]
    current = data.get(name)
    if current is None:
        return data
    if rest:
        return {**data, name: with_value(current, rest, value)} if isinstance(current, dict) else data
    if value is None:
        return {other: item for other, item in data.items() if other != name}
    return {**data, name: value}


def _members(struct: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[SecretMember]:
    for field in struct_fields(struct):
        here = (*path, field.encode_name)
        inner = bare(field.type)
        if any(extras(field.type, "secret")):
            yield SecretMember(here, tuple(next(extras(field.type, "bound_to"), ())))
        if is_struct(inner):
            yield from _members(inner, here)
        elif any(_hides(item) for item in get_args(inner)):
            raise TypeError(f"{'.'.join(here)}: a secret must be a member of an object, not an item of a list or map")


def _hides(type_: Any) -> bool:
    inner = bare(type_)
    if any(extras(type_, "secret")):
        return True
    if is_struct(inner):
        return bool(tuple(_members(inner, ())))
    return any(_hides(item) for item in get_args(inner) if not isinstance(item, (str, int)))

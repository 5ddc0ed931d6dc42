"""Where the secrets of a section are, and the section without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from crm_core.model.fields import bare, is_struct, metas


@dataclass(frozen=True, slots=True)
class SecretMember:
    """A secret: the names that lead to it, and the members beside it that say where it goes."""

    path: tuple[str, ...]
    bound_to: tuple[str, ...] = ()


def secret_members(struct_type: type[msgspec.Struct] | None) -> tuple[SecretMember, ...]:
    """Every member whose Meta has the extra ``secret``. Raises TypeError for one inside an array or a map."""
    return tuple(_members(struct_type, ())) if struct_type is not None else ()


def redacted(data: Mapping[str, Any], members: Iterable[SecretMember]) -> dict[str, Any]:
    """``data`` with ``{"set": true}`` in place of each secret that it holds; the original is left alone."""
    shown = dict(data)
    for member in members:
        shown = _without(shown, member.path)
    return shown


def _without(data: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    name, rest = path[0], path[1:]
    value = data.get(name)
    if value is None:
        return data
    if not rest:
        return {**data, name: {"set": True}}
    return {**data, name: _without(value, rest)} if isinstance(value, dict) else data


def _members(struct: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[SecretMember]:
    for field in msgspec.structs.fields(struct):
        here = (*path, field.encode_name)
        inner = bare(field.type)
        for meta in metas(field.type):
            if (meta.extra or {}).get("secret"):
                yield SecretMember(here, tuple((meta.extra or {}).get("bound_to", ())))
                break
        if is_struct(inner):
            yield from _members(inner, here)
        elif any(_hides(item) for item in get_args(inner)):
            raise TypeError(f"{'.'.join(here)}: a secret must be a member of an object, not an item of a list or map")


def _hides(type_: Any) -> bool:
    inner = bare(type_)
    if any((meta.extra or {}).get("secret") for meta in metas(type_)):
        return True
    if is_struct(inner):
        return bool(tuple(_members(inner, ())))
    return any(_hides(item) for item in get_args(inner) if not isinstance(item, (str, int)))

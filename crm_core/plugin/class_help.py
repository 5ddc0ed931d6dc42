"""The text that ``help()`` shows of a payload type or record type: its declarations, and its members with types."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec

from crm_core.model.fields import bare, extras, is_struct, metas, struct_fields


def class_help(cls: type, declarations: Sequence[str], struct_name: str) -> str:
    """The docstring of a class, its declarations, and the members of the struct that one of its attributes is."""
    declared = [f"{name} = {getattr(cls, name)!r}" for name in declarations if hasattr(cls, name)]
    struct = getattr(cls, struct_name, None)
    members = ["", f"Members of {struct_name}:", *_members(struct, "  ")] if struct and is_struct(struct) else []
    own = cls.__dict__.get("__doc__") or f"{cls.__name__}."
    return "\n".join([inspect.cleandoc(own), "", *declared, *members])


def _members(struct: type[msgspec.Struct], indent: str) -> Iterator[str]:
    for field in struct_fields(struct):
        required = ", required" if field.required else ""
        yield f"{indent}{field.encode_name}: {_type_text(field.type)}{required}"
        inner = bare(field.type)
        inner = bare(get_args(inner)[0]) if get_origin(inner) is list else inner
        if is_struct(inner) and inner is not struct:
            yield from _members(inner, f"{indent}  ")


def _type_text(type_: Any) -> str:
    text = next((meta.description for meta in metas(type_) if meta.description), "") or _plain_text(bare(type_))
    secret = " (secret)" if any(extras(type_, "secret")) else ""
    null = " or null" if NoneType in get_args(type_) else ""
    return f"{text}{null}{secret}"


def _plain_text(inner: Any) -> str:
    if get_origin(inner) is Literal:
        return " | ".join(str(each) for each in get_args(inner))
    if get_origin(inner) is list:
        return f"list of {_plain_text(bare(get_args(inner)[0]))}"
    return "object" if is_struct(inner) else getattr(inner, "__name__", str(inner))

"""Typed data from decoded JSON, with all errors together and a pointer to each."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from crm_core.errors import Finding
from crm_core.errors.base import first_errors

# The converter's message about a type, a limit or a length. The part on the value itself decides the code.
_EXPECTED: Final = re.compile(
    r"Expected `(?P<kinds>[a-z |]+)`(?P<length> of length)?(?: (?P<side>>=|<=) (?P<limit>\S+))?"
)
_WORDS: Final = {
    "str": ("text",),
    "int": ("a whole number",),
    "float": ("a number",),
    "bool": ("true", "false"),
    "null": ("null",),
    "object": ("an object",),
    "array": ("a list",),
}
_COUNTED: Final = {"str": "character", "array": "item", "object": "member"}


def prepare(types_: Iterable[Any]) -> None:
    """Read the members of types now: msgspec crashes the process if two threads use a type for the first time."""
    for type_ in types_:
        msgspec.json.Decoder(type_)


def any_value(type_: Any) -> dict[str, Any]:
    """The JSON Schema of ``object``, which takes any value as ``Any`` does, for msgspec. Raises NotImplementedError."""
    if type_ is object:
        return {"description": "any value"}  # msgspec takes an empty schema for none
    raise NotImplementedError


def convert(data: object, type_: Any, *, pointer: str = "") -> tuple[Any | None, tuple[Finding, ...]]:
    """``data`` as a ``type_``, or None with everything that is wrong with it.

    Nothing is coerced: ``"5"`` is no number. ``pointer`` is put before each finding's own RFC 6901 pointer. Codes:
    ``unknown_member``, ``missing_member``, ``wrong_type``, ``invalid_value``, and ``more_errors`` after the first
    thousand, since listing all would take seconds. A message never repeats a value, only the expectation:
    ``Meta(description=...)`` if the type has one.
    """
    try:
        converted = msgspec.convert(data, type_, strict=True)
    except msgspec.ValidationError:
        findings = first_errors(_walk(data, type_, pointer), pointer)
    else:
        findings = first_errors(_unchecked(data, type_, pointer), pointer) if _checked_in(type_) else ()
        if not findings:
            return converted, ()
    return None, findings or (Finding(pointer, "invalid_value", "This value does not fit; see the documentation."),)


def without_nulls(data: Any) -> Any:
    """``data`` without object members that are null, at any depth; nulls in arrays stay. May return ``data`` itself."""
    if b"null" not in msgspec.json.encode(data) or not _has_null_member(data):  # a text may contain the word
        return data
    if isinstance(data, dict):
        return {name: without_nulls(value) for name, value in data.items() if value is not None}
    return [without_nulls(value) for value in data]


def _has_null_member(data: object) -> bool:
    if isinstance(data, dict):
        return None in data.values() or any(_has_null_member(value) for value in data.values())
    return isinstance(data, list) and any(_has_null_member(value) for value in data)


def step(name: str | int) -> str:
    """One step of an RFC 6901 pointer, with its slash."""
    return "/" + str(name).replace("~", "~0").replace("/", "~1")


def bare(type_: Any) -> Any:
    """The type inside ``Annotated`` and unions with unset or null."""
    while True:
        origin = get_origin(type_)
        if origin is Annotated:
            type_ = get_args(type_)[0]
        elif origin in (Union, types.UnionType):
            members = [arg for arg in get_args(type_) if arg not in (msgspec.UnsetType, types.NoneType)]
            if len(members) != 1:
                return type_
            type_ = members[0]
        else:
            return type_


def metas(type_: Any) -> Iterator[msgspec.Meta]:
    """Every msgspec.Meta on the type itself, also through ``| UnsetType``."""
    origin = get_origin(type_)
    if origin is Annotated:
        yield from (meta for meta in type_.__metadata__ if isinstance(meta, msgspec.Meta))
        yield from metas(get_args(type_)[0])
    elif origin in (Union, types.UnionType):
        for arg in get_args(type_):
            yield from metas(arg)


def extras(type_: Any, name: str) -> Iterator[Any]:
    """The values of one ``extra``, such as ``check``, in the Metas on the type."""
    return (meta.extra[name] for meta in metas(type_) if meta.extra and name in meta.extra)


def is_struct(type_: Any) -> bool:
    """Whether the type is a msgspec Struct."""
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


@lru_cache(maxsize=1024)  # msgspec reads the annotations again each time
def struct_fields(struct: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    """The members of a Struct, with their types."""
    return msgspec.structs.fields(struct)


@lru_cache(maxsize=1024)
def is_immutable(struct: type[msgspec.Struct]) -> bool:
    """Whether nothing in an instance can be changed; False for a struct that contains itself."""
    return _is_immutable(struct, ())


def _is_immutable(type_: Any, around: tuple[Any, ...]) -> bool:
    """``around``: the structs that contain it."""
    inner = bare(type_)
    if is_struct(inner):
        config = inner.__struct_config__
        may_be = config.frozen and not config.dict and inner not in around
        return may_be and all(_is_immutable(field.type, (*around, inner)) for field in struct_fields(inner))
    if get_origin(inner) is tuple:
        return all(item is ... or _is_immutable(item, around) for item in get_args(inner))
    return get_origin(inner) is Literal or inner in (str, int, float, bool)


class _Checked(msgspec.Struct, frozen=True):
    """A text member with a check (``Meta(extra={"check": ...})``) that a pattern cannot express.

    ``path``: the names that lead to it, None for every item of a list. ``check``: None for a struct inside itself,
    whose values are checked when they are reached.
    """

    path: tuple[str | None, ...]
    check: Callable[[str], bool] | None
    type: Any


@lru_cache(maxsize=1024)
def _checked_in(type_: Any) -> tuple[_Checked, ...]:
    """The texts that have a check: the value itself, members of an object, items of a list."""
    return tuple(_checked_below(type_, ()))


def _checked_below(
    type_: Any, path: tuple[str | None, ...], around: tuple[type[msgspec.Struct], ...] = ()
) -> Iterator[_Checked]:
    """``around``: the structs that the path leads through."""
    inner = bare(type_)
    yield from (_Checked(path, check, type_) for check in extras(type_, "check"))
    if inner in around:
        yield _Checked(path, None, inner)
    elif is_struct(inner):
        for field in struct_fields(inner):
            yield from _checked_below(field.type, (*path, field.encode_name), (*around, inner))
    elif get_origin(inner) is list:
        yield from _checked_below(get_args(inner)[0], (*path, None), around)


def _unchecked(value: object, type_: Any, pointer: str) -> Iterator[Finding]:
    """Findings for the texts of a converted value that fail their checks."""
    for member in _checked_in(type_):
        for at, found in _reached(value, member.path, pointer):
            if member.check is None:
                yield from _unchecked(found, member.type, at) if found else ()
            elif isinstance(found, str) and not member.check(found):
                yield _finding("", member.type, at)


def _reached(value: object, path: tuple[str | None, ...], pointer: str) -> Iterator[tuple[str, object]]:
    """The values that a path leads to, with their pointers."""
    for depth, name in enumerate(path):
        if name is None:
            for at, item in enumerate(value if isinstance(value, list) else ()):
                yield from _reached(item, path[depth + 1 :], pointer + step(at))
            return
        value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return
        pointer += step(name)
    yield pointer, value


def _walk(value: object, type_: Any, pointer: str) -> Iterator[Finding]:
    """The errors inside a value or, if there are none, that of the value; parts that convert are skipped."""
    wrong = _wrong(value, type_)
    if wrong is None:
        yield from _unchecked(value, type_, pointer)
        return
    inner, inside = bare(type_), False
    for finding in _inside(value, inner, pointer):
        inside = True
        yield finding
    if not inside:
        yield _finding(wrong, type_, pointer)


def _inside(value: object, inner: Any, pointer: str) -> Iterator[Finding]:
    if is_struct(inner) and isinstance(value, dict):
        yield from _members(value, inner, pointer)
    elif get_origin(inner) is dict and isinstance(value, dict):
        yield from _entries(value, inner, pointer)
    elif get_origin(inner) in (list, tuple) and isinstance(value, list):
        item_type = get_args(inner)[0]
        for index, item in enumerate(value):
            yield from _walk(item, item_type, pointer + step(index))


def _members(value: dict[str, Any], struct: type[msgspec.Struct], pointer: str) -> Iterator[Finding]:
    fields = {field.encode_name: field for field in struct_fields(struct)}
    known = ", ".join(fields)
    for name, item in value.items():
        if name in fields:
            yield from _walk(item, fields[name].type, pointer + step(name))
        elif struct.__struct_config__.forbid_unknown_fields:
            yield Finding(pointer + step(name), "unknown_member", f"Unknown member. Known members: {known}.")
    for name, field in fields.items():
        if field.required and name not in value:
            yield Finding(pointer + step(name), "missing_member", f"`{name}` is missing; add it.")


def _entries(value: dict[str, Any], type_: Any, pointer: str) -> Iterator[Finding]:
    key_type, item_type = get_args(type_)
    for name, item in value.items():
        wrong = _wrong(name, key_type)
        if wrong is not None:
            yield _finding(wrong, key_type, pointer + step(name))
        yield from _walk(item, item_type, pointer + step(name))


def _wrong(value: object, type_: Any) -> str | None:
    """The converter's message about a value; None if it converts."""
    try:
        msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        return str(error).split(" - at ")[0]
    return None


def _finding(wrong: str, type_: Any, pointer: str) -> Finding:
    code = "wrong_type" if ", got `" in wrong else "invalid_value"
    return Finding(pointer, code, _expected(wrong, type_))


def _expected(wrong: str, type_: Any) -> str:
    """What to send instead. For literals the converter's message is not used, since it repeats the value."""
    inner = bare(type_)
    for meta in metas(type_):
        if meta.description:
            return f"This must be {meta.description}."
    if get_origin(inner) is Literal:
        return f"This must be one of {', '.join(str(literal) for literal in get_args(inner))}."
    if wrong.startswith("Expected "):
        return _in_words(wrong) or wrong.replace("`", "") + "."
    return "This value does not fit."


def _in_words(wrong: str) -> str | None:
    """The converter's words in those of JSON, such as ``text of at least 10 characters``; None for its rarer ones."""
    match = _EXPECTED.fullmatch(wrong.partition(", got `")[0])
    kinds = sorted(match["kinds"].split(" | "), key="null".__eq__) if match else []
    if match is None or not all(kind in _WORDS for kind in kinds):
        return None
    words = [word for kind in kinds for word in _WORDS[kind]]
    text = " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if match["limit"]:
        text += f" of at {'least' if match['side'] == '>=' else 'most'} {match['limit']}"
    if match["length"]:
        text += f" {_COUNTED[kinds[0]]}" + ("" if match["limit"] == "1" else "s")
    return f"This must be {text}."

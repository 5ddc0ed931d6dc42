"""Faults of what plugins register that can be known at start: each would otherwise show in the middle of a request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec

from crm_core.model.fields import any_value, bare, is_struct, struct_fields
from crm_core.model.keys import KeyKind
from crm_core.model.names import is_section_name
from crm_core.model.secret_members import secret_members
from crm_core.plugin.door import mapping, said
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.signature import MATCHING, SIGNING, SignatureScheme
from crm_core.plugin.storage import StorageBackend

# Names of routes below sync, and of members of bootstrap.
RESERVED_PAYLOAD_TYPES: Final = frozenset(
    {"health", "history", "instance", "last_sync", "limits", "log", "modules", "role", "sections", "subscription"}
    | {"tenant", "user"}
)
# Names of routes and operations of the API (get_user), and of pages of the workspace.
RESERVED_RECORD_TYPES: Final = frozenset(
    {"account", "api", "auth", "bootstrap", "changes", "events", "forgot", "frame", "login", "logout", "mail"}
    | {"password", "picture", "reports", "settings", "subscription", "sync", "token", "tokens", "user", "users", "v1"}
    | {"public_bootstrap", "section_history", "sync_health", "sync_log", "sync_log_entry"}
)
SHOWN: Final = ("public", "members", "never")
_HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_OF_HTTP: Final = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length", "content-type"}
    | {"cookie", "date", "expect", "host", "idempotency-key", "if-match", "if-none-match", "origin", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "user-agent", "via", "x-forwarded-for", "x-forwarded-proto", "x-request-id"}
)


def faults_of(item: Any, kind: str, expected: type[Any]) -> list[str]:
    """Everything wrong with an item of a registration hook; empty if it can be used."""
    try:
        return _faults_of(item, kind, expected)
    except Exception as error:  # noqa: BLE001 -- its members are foreign code, even its repr
        return [f"a {kind} that it registers cannot be read: it raised {said(error)}"]


def name_of(item: Any) -> str:
    """The NAME of an item, good or not; empty if it is no text."""
    try:
        name = item.NAME
    except Exception:  # noqa: BLE001 -- as above
        return ""
    return str.__str__(name) if isinstance(name, str) else ""


def _faults_of(item: Any, kind: str, expected: type[Any]) -> list[str]:
    fits = issubclass(item, expected) if isinstance(item, type) else isinstance(item, expected)
    wants_class = expected is StorageBackend
    if not fits or isinstance(item, type) is not wants_class:
        form = "classes" if wants_class else "objects"
        return [f"a {kind} hook returns {form} of crm_core.plugin's {expected.__name__}, not {item!r:.80}"]
    name = getattr(item, "NAME", None)
    if not isinstance(name, str) or not is_section_name(name):
        return [f"the NAME of a {kind} is 1 to 64 of a-z, 0-9, _ and -, from a letter; {name!r:.80} is not"]
    return [*_of_kind(item, kind, name)]


def reserved_names(kind: str) -> frozenset[str]:
    """The names that items of a kind cannot have."""
    reserved = {"payload type": RESERVED_PAYLOAD_TYPES, "record type": RESERVED_RECORD_TYPES}
    return reserved.get(kind, frozenset())


def _of_kind(item: Any, kind: str, name: str) -> Iterator[str]:
    if name in reserved_names(kind):
        yield f"{name} is a reserved name; call the {kind} something else"
    if isinstance(item, PayloadType | RecordType):
        yield from _of_schema(item, name)
    if isinstance(item, PayloadType):
        yield from _of_payload_type(item)
    elif isinstance(item, RecordType):
        yield from _of_record_type(item, name)
    elif isinstance(item, SignatureScheme):
        yield from _of_scheme(item)
    elif isinstance(item, type) and (missing := sorted(getattr(item, "__abstractmethods__", ()))):
        yield f"{name} leaves out {', '.join(missing)}, which every storage backend implements"


def _of_schema(item: PayloadType | RecordType, name: str) -> Iterator[str]:
    version: Any = item.SCHEMA_VERSION
    if type(version) is not int or version < 1:
        yield f"SCHEMA_VERSION of {name} is a whole number from 1; {version!r:.80} is not"


def _of_record_type(item: RecordType, name: str) -> Iterator[str]:
    if getattr(item, "RECORD", None) is None:
        yield f"RECORD of {name} is missing; name the msgspec.Struct with its members"
    elif not item.members:
        yield f"RECORD of {name} has no members"
    module: Any = item.module
    if not isinstance(module, str) or not is_section_name(module):
        yield f"MODULE of {name} is the name of a module; {module!r:.80} is not"
    for title in ("TITLE", "SINGULAR"):
        words = getattr(item, title, None)
        if not isinstance(words, str) or not words:
            yield f"{title} of {name} is a text; {words!r:.80} is not"


def _of_payload_type(item: PayloadType) -> Iterator[str]:
    if item.SHOWN not in SHOWN:
        yield f"SHOWN of {item.NAME} is {', '.join(SHOWN[:-1])} or {SHOWN[-1]}; {item.SHOWN!r:.80} is not"
    if item.OPTIONS is not None and not is_struct(item.OPTIONS):
        yield f"OPTIONS of {item.NAME} is a msgspec.Struct or None"
    else:
        yield from _beyond_json(item.OPTIONS, f"OPTIONS of {item.NAME}")
    try:
        mapping(item.EXAMPLE)
    except (TypeError, ValueError) as error:
        yield f"EXAMPLE of {item.NAME} is data of a push: {said(error)}"
    section: Any = item.SECTION
    if section is None:
        return
    if not is_struct(section):
        yield f"SECTION of {item.NAME} is a msgspec.Struct or None"
        return
    yield from _beyond_json(section, f"SECTION of {item.NAME}")
    for path in _open(section, "SECTION", set()):
        yield f"{path} of {item.NAME} must have forbid_unknown_fields=True, or misspelled members are lost in silence"
    for field in struct_fields(section):
        if field.required:
            yield (
                f"the member {field.encode_name} of {item.NAME} must be optional (`| UnsetType = UNSET`), since a "
                "merge starts from nothing; require it in validate"
            )
    yield from _of_secrets(item.NAME, section)


def _beyond_json(struct: type[msgspec.Struct] | None, what: str) -> Iterator[str]:
    """The first member that JSON cannot be read into or OpenAPI cannot describe, in the words of msgspec."""
    try:
        if struct is not None:
            msgspec.json.Decoder(struct)
            msgspec.json.schema(struct, schema_hook=any_value)
    except (TypeError, NameError) as error:
        yield f"{what} cannot be read from JSON: {said(error)}"


def _of_secrets(name: str, section: type[msgspec.Struct]) -> Iterator[str]:
    try:
        members = secret_members(section)
    except TypeError as error:
        yield f"SECTION of {name}: {error}"
        return
    for member in members:
        above: Any = section
        for step in member.path[:-1]:
            above = bare(next(field.type for field in struct_fields(above) if field.encode_name == step))
        fields = {field.encode_name: field for field in struct_fields(above)}
        path = ".".join(member.path)
        if fields[member.path[-1]].required and len(member.path) > 1:
            yield f"the secret {path} of {name} must be optional: it is stored apart from the section"
        for place in member.bound_to:
            if place not in fields:
                yield f"the secret {path} of {name} is bound to {place}, which is no member next to it"


def _open(type_: Any, path: str, seen: set[Any]) -> Iterator[str]:
    """The Structs inside a type that let unknown members pass."""
    inner = bare(type_)
    if is_struct(inner):
        if inner in seen:
            return
        seen.add(inner)
        if not inner.__struct_config__.forbid_unknown_fields:
            yield path
        for field in struct_fields(inner):
            yield from _open(field.type, f"{path}.{field.encode_name}", seen)
        return
    for each in get_args(inner):
        if not isinstance(each, msgspec.Meta | str | int):
            yield from _open(each, path, seen)


def _of_scheme(scheme: SignatureScheme) -> Iterator[str]:
    kinds, named = get_args(KeyKind), scheme.KEY_KINDS
    if not isinstance(named, tuple) or not named or not all(kind in kinds for kind in named):
        yield f"KEY_KINDS of {scheme.NAME} is a tuple of {' or '.join(kinds)}; {named!r:.80} is not"
    else:
        for kind, method in ((kind, methods[kind]) for kind in named for methods in (MATCHING, SIGNING)):
            if getattr(type(scheme), method) is getattr(SignatureScheme, method):
                yield f"{scheme.NAME} verifies {kind} keys but has no {method}; add it"
    headers: Any = getattr(scheme, "HEADERS", None)
    if not isinstance(headers, tuple) or not headers:
        yield f"HEADERS of {scheme.NAME} is a tuple with at least one header; {headers!r:.80} is not"
        return
    for header in headers:
        if not isinstance(header, str) or _HEADER.fullmatch(header) is None:
            yield f"HEADERS of {scheme.NAME} are names in lower case; {header!r:.80} is not"
        elif header in _OF_HTTP:
            yield f"HEADERS of {scheme.NAME} names {header}, which requests have without a signature"
    if not isinstance(getattr(scheme, "SIGNS_INSTANCE", None), bool):
        yield f"SIGNS_INSTANCE of {scheme.NAME} is True or False"

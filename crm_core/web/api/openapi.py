"""The OpenAPI 3.1 document, generated from the operations that are routed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from crm_core import __version__
from crm_core.model.fields import any_value
from crm_core.model.names import NAME_PATTERN
from crm_core.web.api.examples import command_of
from crm_core.web.api.named_enums import name_enums
from crm_core.web.api.problem_schemas import REF, problem_components, problem_responses
from crm_core.web.operations import Body, Operation, Parameter, Reply
from crm_core.web.reading import MAX_VALUES

_NAME_SCHEMA: Final = {"type": "string", "pattern": f"^{NAME_PATTERN}$", "maxLength": 63}


def document(operations: Iterable[Operation], *, instance: str, secret_codes: Iterable[str] = ()) -> dict[str, Any]:
    """The document of an instance. ``secret_codes``: the codes of secrets that must be sent again."""
    operations = tuple(operations)
    types = list(dict.fromkeys(type_ for operation in operations for type_ in _types(operation)))
    known, components = _described(types, problem_components(operations, secret_codes))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, known)
    name_enums(paths, components)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": f"CRM instance {instance}",
            "version": __version__,
            "description": "Signed configuration by a platform, and an API for records. Errors are RFC 9457 problems.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API token or an access token."},
                "session": {"type": "apiKey", "in": "cookie", "name": "crm_session", "description": "A browser's."},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Sync-Signature",
                    "description": "crm-sync-v1, or another signature scheme of this instance.",
                },
            },
        },
    }
    portable: dict[str, Any] = _portable(made)
    return portable


def _described(types: Iterable[Any], components: dict[str, Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of each type, and the named schemas that these refer to, with ``components``.

    Types are described one by one, as classes of two plugins may share a name: equal schemas are one, others numbered.
    """
    known: dict[Any, Any] = {}
    for type_ in types:
        (schema,), named = msgspec.json.schema_components([type_], schema_hook=any_value, ref_template=REF)
        names = _free_names(named, components)
        components |= {names[name]: _referring(body, names) for name, body in named.items()}
        known[type_] = _referring(schema, names)
    return known, components


def _free_names(named: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, str]:
    """The name of each schema in the document: its own unless another schema has it."""
    names, numbers = {name: name for name in named}, dict.fromkeys(named, 1)
    while clashing := [
        name
        for name, body in named.items()
        if list(names.values()).count(names[name]) > 1
        or taken.get(names[name], refers := _referring(body, names)) != refers
    ]:
        for name in clashing:
            numbers[name] += 1
            names[name] = f"{name}_{numbers[name]}"
    return names


def _referring(schema: Any, names: Mapping[str, str]) -> Any:
    """A schema whose references lead to the names that schemas have in the document."""
    if isinstance(schema, list):
        return [_referring(value, names) for value in schema]
    if not isinstance(schema, Mapping):
        return schema
    refs = {REF.format(name=name): REF.format(name=new) for name, new in names.items()}
    return {
        key: refs.get(value, value) if key == "$ref" and isinstance(value, str) else _referring(value, names)
        for key, value in schema.items()
    }


def _types(operation: Operation) -> Iterator[Any]:
    schemas = [reply.schema for reply in operation.replies.values()]
    if operation.body is not None:
        schemas.append(operation.body.schema)
    for schema in schemas:
        yield from _types_in(schema)


def _types_in(schema: Any) -> Iterator[Any]:
    """The msgspec types in a schema; dicts and lists are JSON Schema that may contain some."""
    if isinstance(schema, Mapping):
        for value in schema.values():
            yield from _types_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _types_in(value)
    elif schema is not None and not isinstance(schema, str | int | float | bool):
        yield schema


def _schema(schema: Any, known: Mapping[Any, Any]) -> Any:
    if isinstance(schema, Mapping):
        return {name: _schema(value, known) for name, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_schema(value, known) for value in schema]
    if schema is None or isinstance(schema, str | int | float | bool):
        return schema
    return known[schema]


def _operation(operation: Operation, known: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *(_path_parameter(name, operation) for name in operation.path_names),
            *(_parameter(parameter) for parameter in operation.parameters),
        ],
        "responses": dict(_responses(operation, known)),
        "security": _security(operation),
        "x-codeSamples": [{"lang": "Shell", "source": command_of(operation)}],
    }
    paragraphs = [operation.description, _who(operation)]
    made["description"] = "\n\n".join(text for text in paragraphs if text)
    if operation.body is not None:
        made["requestBody"] = _body(operation.body, known)
    return made


def _path_parameter(name: str, operation: Operation) -> dict[str, Any]:
    default = _NAME_SCHEMA if name in ("instance", "tenant") else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": operation.path_schemas.get(name, default)}


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    return {"type": "array", "items": schema, "maxItems": MAX_VALUES} if parameter.repeats else schema


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": False,
        "description": parameter.description,
        "schema": _parameter_schema(parameter),
    }


def _body(body: Body, known: Mapping[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _schema(body.schema, known)}
    if body.example is not None:
        content["example"] = body.example
    return {"required": True, "content": dict.fromkeys(body.media_types, content)}


def _responses(operation: Operation, known: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for status, reply in operation.replies.items():
        yield str(status), _reply(reply, known)
    yield from problem_responses(operation)


def _reply(reply: Reply, known: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": reply.description}
    if reply.schema is not None:
        first, *others = reply.media_types
        made["content"] = {first: {"schema": _schema(reply.schema, known)}}
        made["content"].update({media_type: {"schema": {"type": "string"}} for media_type in others})
    if reply.headers:
        made["headers"] = {name: {"schema": {"type": "string"}} for name in reply.headers}
    return made


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.open_to_all:
        return []
    ways: list[dict[str, list[str]]] = []
    if operation.scope is not None or operation.key is not None:
        ways.append({"bearer": []})
    if operation.key is not None:
        ways.append({"session": []})
    if operation.signed:
        ways.append({"signature": []})
    return ways


def _who(operation: Operation) -> str:
    if operation.open_to_all:
        return "Open to anyone."
    callers = []
    if operation.scope is not None:
        callers.append("any token" if operation.scope == "any" else f"a token with `{operation.scope}`")
    if operation.key is not None:
        callers.append("any user" if operation.key == "any" else f"a user with `{operation.key}`")
    if operation.signed:
        callers.append("a signed request")
    return "For " + ", ".join(callers) + "." if callers else ""


def _portable(value: Any) -> Any:
    """Patterns as JSON Schema writes them (ECMA-262): it does not know the anchors of Python's full matches."""
    if not isinstance(value, dict):
        return [_portable(item) for item in value] if isinstance(value, list) else value
    portable = {name: _portable(item) for name, item in value.items()}
    if isinstance(pattern := portable.get("pattern"), str):
        portable["pattern"] = pattern.replace(r"\A", "^").replace(r"\Z", "$")
    return portable

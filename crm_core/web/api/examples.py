"""Examples for the OpenAPI document: bodies of records, and a command for each operation."""

from __future__ import annotations

import json
from typing import Any, Final

from crm_core.plugin.member import Member
from crm_core.records.shape import EXTERNAL_ID, Shape
from crm_core.web.operations import Operation

_ID: Final = "01a20ff9-7dcd-7456-a1e2-5f9c4d1e5363"
_VALUES: Final[dict[str, Any]] = {
    "email": "ada@example.com", "phone": "+49 30 1234567", "currency": "EUR", "flag": True, "integer": 3,
    "number": 2.5, "decimal": "1250.00", "date": "2026-12-01", "reference": _ID, "texts": ["vip"], "object": {},
    "entries": {}, "rows": [],
}  # fmt: skip
_PATH: Final = {
    "instance": "eu1",
    "tenant": "northwind",
    "id": _ID,
    "external_id": "shop-4711",
    "section": "workspace",
    "revision": "57",
    "payload_type": "workspace",
}


def record_example(shape: Shape) -> dict[str, Any]:
    """A record with its required members."""
    return {member.name: _value(shape, member) for member in shape.record_type.members if member.required}


def batch_example(shape: Shape) -> dict[str, Any]:
    """A batch with one record of the caller's."""
    return {"items": [{EXTERNAL_ID: _PATH["external_id"], **record_example(shape)}]}


def command_of(operation: Operation) -> str:
    """A curl command for the operation."""
    words = ["curl"] if operation.method == "GET" else ["curl", "-X", operation.method]
    words.append(f"'http://127.0.0.1:8000{operation.path.format_map(_PATH)}'")
    if operation.scope is not None or operation.key is not None:
        words.append('-H "Authorization: Bearer $TOKEN"')
    body = operation.body
    if body is not None:
        sent = "@body.json" if body.example is None else json.dumps(body.example)
        words.append(f"-H 'Content-Type: {body.media_types[0]}' -d '{sent}'")
    return " ".join(words)


def _value(shape: Shape, member: Member) -> Any:
    if member.choices:
        return member.choices[0][0]
    return _VALUES.get(member.kind, f"Example {shape.record_type.SINGULAR.lower()}")

"""Choices as schemas with names, from which generators make one enum for all places that have them."""

from __future__ import annotations

import re
from typing import Any, Final

_FORMS: Final = re.compile(r"(?:BatchItem|Input|Patch|Record|Part)$")  # of one thing: they share its choices
_INSIDE: Final = ("anyOf", "oneOf", "items")  # generators refuse a reference to choices in allOf
_FEWEST: Final = 2  # a single one is a constant


def name_enums(paths: dict[str, Any], components: dict[str, Any]) -> None:
    """Move the choices of all members to ``components``, named after schema and member, and refer to them from there.

    Parameters refer to the choices of the members that they filter.
    """
    moving = _Moving(components)
    for name, schema in list(components.items()):
        for member, described in schema.get("properties", {}).items():
            title = "".join(word.capitalize() for word in member.split("_"))
            schema["properties"][member] = moving.moved(described, _FORMS.sub("", name) + title)
    for operations in paths.values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                parameter["schema"] = moving.moved(parameter["schema"], None)


class _Moving:
    """The named choices so far, by their values."""

    def __init__(self, components: dict[str, Any]) -> None:
        self._components = components
        self._names: dict[tuple[str, tuple[str, ...]], str] = {}
        self._known: dict[frozenset[str], str] = {}

    def moved(self, schema: Any, name: str | None) -> Any:
        """A schema with references in place of its choices; without a name only of those that are known."""
        if isinstance(schema, list):
            return [self.moved(one, name) for one in schema]
        if not isinstance(schema, dict):
            return schema
        values = schema.get("enum", ())
        if len(values) < _FEWEST or not all(isinstance(value, str) for value in values) or "default" in schema:
            return {key: self.moved(value, name) if key in _INSIDE else value for key, value in schema.items()}
        found = self._known.get(frozenset(values)) if name is None else self._name(name, schema)
        return schema if found is None else {"$ref": f"#/components/schemas/{found}"}

    def _name(self, wanted: str, schema: dict[str, Any]) -> str:
        values = tuple(schema["enum"])
        if (wanted, values) not in self._names:
            name, number = wanted, 1
            while name in self._components:
                number += 1
                name = f"{wanted}_{number}"
            self._components[name] = {"type": "string", **schema}
            self._names[wanted, values] = name
            self._known.setdefault(frozenset(values), name)
        return self._names[wanted, values]

"""A class name has one meaning: it is defined once in crm_core and the built-in plugins."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ONE_MEANING: Final = {
    "Answer": "of the server, and as the client reads it",
    "ChangePage": "of a store, and in the OpenAPI document",
    "Finding": "in the error, and in the OpenAPI document",
    "SectionHealth": "in the OpenAPI document, and as the client reads it",
}
"""Names of one thing that is a value in two places."""


def test_no_class_name_has_two_meanings() -> None:
    """Each class name is defined once, except for the two sides of one thing."""
    found = Counter(
        node.name
        for folder in ("crm_core", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, times in found.items() if times > 1} == set(ONE_MEANING)

"""The forms of names."""

from __future__ import annotations

import re

NAME_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""Instance codes and tenant names, as a pattern without anchors."""

_NAME = re.compile(NAME_PATTERN)
_SECTION = re.compile(r"[a-z][a-z0-9_-]{0,63}")
SNAKE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Names of modules, groups, actions and roles."""


def is_name(text: str) -> bool:
    """Whether a text can be an instance code or a tenant's name."""
    return _NAME.fullmatch(text) is not None


def is_section_name(text: str) -> bool:
    """Whether a text can name a payload type, section, scheme, backend or record type."""
    return _SECTION.fullmatch(text) is not None


def title_from(name: str) -> str:
    """The default title of a module or role."""
    return name.replace("_", " ").capitalize()

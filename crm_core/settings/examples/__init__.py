"""The commented files that ``crm init`` writes, and the built-in catalog and roles, as data."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
BUILT_IN = FOLDER / "builtin"

OF_INSTANCE = ("instance.yaml", "keys.yaml", "modules.yaml", "roles.yaml")
"""The files of an instance; ``instances.yaml`` is the manager's."""


def example(name: str, *, instance: str = "eu1") -> str:
    """The text of a commented example, with the instance's code filled in."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r"^instance: eu1$", f"instance: {instance}", text, flags=re.MULTILINE)

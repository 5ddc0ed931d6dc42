"""The core knows no plugin by name: what it needs to know of sections and records, their types declare."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry

CORE: Final = Path(__file__).parents[2] / "crm_core"
ELSEWHERE: Final = {
    "demo": "pushes what its own files say, as a platform does",
    "testing": "sample data of the suites",
}
"""Folders that are no part of a running instance."""
ALLOWED: Final = {
    ("settings/catalog.py", "features"): "member of modules.yaml (docs/configuration.md, modules)",
    ("web/api/examples.py", "workspace"): "sample value of a parameter in the OpenAPI document",
    ("web/api/bootstrap.py", "features"): "member of bootstrap's answer (docs/bootstrap.md)",
    ("client/desired.py", "combined"): "the payload type that crm apply sends (docs/fleet.md)",
    ("model/signed_text.py", "crm-sync-v1"): "first line of the signed text (docs/protocol.md, the native scheme)",
    (
        "plugin/unit.py",
        "workspace",
    ): "the expectation WorkspaceAt, in Conflict (docs/plugins.md, storage backends)",
}


def strings(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Every string of the core that is one of these names, with its file."""
    for path in sorted(CORE.rglob("*.py")):
        file = path.relative_to(CORE).as_posix()
        if file.split("/")[0] in ELSEWHERE:
            continue
        text = path.read_text()
        if not any(name in text for name in names):  # in most files: parsing them all takes a second
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and node.value in names:
                yield file, node.value


def test_no_string_of_the_core_is_the_name_of_something_registered() -> None:
    """But for members of files and answers, each listed with its page; none is listed in vain."""
    host = PluginHost()
    host.load_entry_points()
    names = {name for _, name in build_registry(host).owners}
    assert {"features", "branding", "smtp", "workspace", "deals", "tasks", "tinydb"} <= names
    assert set(strings(names)) == set(ALLOWED)

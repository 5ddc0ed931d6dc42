"""No two modules of the product import each other, however long the way round."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def modules(*folders: tuple[str, Path]) -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for package, base in folders:
        for path in sorted((base / package).rglob("*.py")):
            found[".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """The known modules that a file imports, anywhere in it, also for types alone."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= below & known.keys() or {node.module}
    return names & known.keys()


def order(known: dict[str, Path]) -> list[str]:
    """The modules, each behind all that it imports. Raises CycleError."""
    graph = {name: imported(path, known) - {name} for name, path in known.items()}
    return list(TopologicalSorter(graph).static_order())


def test_no_import_leads_back() -> None:
    """Core and plugins have an order in which every module comes behind all that it imports, types included."""
    plugins = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
    known = modules(("crm_core", ROOT), *((name, ROOT / "plugins") for name in plugins if name.startswith("crm_")))
    assert len(order(known)) == len(known) > 300


def test_a_circle_is_found(tmp_path: Path) -> None:
    """A circle that exists for types alone is found, and its modules are named."""
    package = tmp_path / "one"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from one.b import B\n")
    (package / "b.py").write_text("from one import a\nB = a\n")
    with pytest.raises(CycleError, match=r"one\.a"):
        order(modules(("one", tmp_path)))

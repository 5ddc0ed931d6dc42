"""Pages and their templates: each template gets exactly the values that it uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from crm_core.web import pages

PAGES = Path(pages.__file__).parent
TEMPLATES = PAGES.parent / "templates"


def used(template: str) -> set[str]:
    """The values that a template uses, those of its parts in other files included."""
    tree = Environment(autoescape=True).parse((TEMPLATES / template).read_text())
    found = {one.attr for one in tree.find_all(nodes.Getattr) if is_view(one.node)}
    parts: Iterator[nodes.Extends | nodes.Include | nodes.FromImport]
    parts = tree.find_all((nodes.Extends, nodes.Include, nodes.FromImport))
    return found.union(*(used(part.template.value) for part in parts if isinstance(part.template, nodes.Const)))


def is_view(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "view"


def views() -> Iterator[tuple[str, str, set[str | None]]]:
    """Each view in the code: its place, its template and the names of its values."""
    for path in sorted(PAGES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "PageView":
                (template,) = node.args
                assert isinstance(template, ast.Constant)
                yield f"{path.name}:{node.lineno}", template.value, {one.arg for one in node.keywords}


@pytest.mark.parametrize(("template", "given"), [pytest.param(*one[1:], id=one[0]) for one in views()])
def test_a_template_gets_the_values_that_it_uses(template: str, given: set[str | None]) -> None:
    """A view has every value that its template uses in any branch, and no other."""
    assert given == used(template)


def test_every_page_is_a_view() -> None:
    """Each template that is a page is that of a view."""
    extended = {path.name for path in TEMPLATES.glob("*.html") if "{% extends" in path.read_text()}
    assert extended - {"anonymous.html", "workspace.html"} == {template for _, template, _ in views()}

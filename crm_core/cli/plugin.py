"""``crm plugin``: start a plugin."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

import click

from crm_core.cli.groups import CommandGroup
from crm_core.cli.running import config_option
from crm_core.errors import SetupError

_NAME: Final = re.compile(r"[a-z](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_FOLDERS: Final = ("tests", "conftest", "dist", "build")
"""Names with a meaning for pytest or pip in the folder of a package."""
_KINDS: Final = {
    "payload-type": ("payload_type", "payload type"),
    "record-type": ("record_type", "record type"),
    "scheme": ("scheme", "signature scheme"),
}


@click.group("plugin", cls=CommandGroup)
def command() -> None:
    """Start a plugin of your own; crm plugins lists the installed ones."""


@command.command("new")
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.argument("name")
@config_option
def new(kind: str, name: str, config: Path) -> None:  # noqa: ARG001 -- every command takes it
    """Write a package for a new plugin into the folder NAME.

    It works as it is: run pytest in the folder, without installing it. Then change it into yours.
    """
    module, words = _KINDS[kind]
    package = name.replace("-", "_")
    _require_free(name, package, words)
    title = name.replace("-", " ").replace("_", " ").capitalize()
    singular = re.sub(r"ies\Z", "y", title) if title.endswith("ies") else re.sub(r"(?<!s)s\Z", "", title)
    texts = {
        "kind": words,
        "module": module,
        "name": name,
        "project": name.replace("_", "-"),
        "package": package,
        "header": name.replace("_", "-"),
        "title": title,
        "singular": singular,
        "Class": _camel(title),
        "Singular": _camel(singular),
    }
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{package}/__init__.py": None,
        f"{package}/{module}.py": f"{module}.py",
        f"{package}/hooks.py": f"{module}_hooks.py",
        f"tests/test_{package}.py": f"{module}_test.py",
    }
    written = {path: _filled(template, texts) if template else "" for path, template in templates.items()}
    _require_distinct(name, (text for path, text in written.items() if path.endswith(".py")))
    for path, text in written.items():
        _write(Path(name) / path, text)
    click.echo(f"wrote {name}; its tests pass:\n  cd {name}\n  python -m pytest")


def _require_free(name: str, package: str, words: str) -> None:
    """Refuse a name that a plugin cannot have. Raises UsageError, SetupError."""
    from crm_core.plugin.faults import reserved_names
    from crm_core.plugin.registry import build_registry
    from crm_core.settings.installation import load_plugins

    if not _NAME.fullmatch(name) or keyword.iskeyword(package):
        raise click.UsageError(
            "NAME must be 1 to 64 of a-z, 0-9, _ and -, start with one of a-z, not end with - or _, and not be a"
            " Python keyword"
        )
    if name in reserved_names(words):
        raise SetupError([f"the core uses the name {name} itself; choose another name"])
    brought = build_registry(load_plugins()).brought()
    for plugin, items in brought.items():
        if (words, name) in items:
            raise SetupError([f"{plugin} has a {words} {name} already; choose another name"])
    if Path(name).exists():
        raise SetupError([f"{name} exists; choose another name, or remove it"])
    if package in _FOLDERS or package.startswith("test_"):
        raise SetupError([f"pytest or pip uses the name {package}; choose another name, such as my-{name}"])
    if importlib.util.find_spec(package) is not None:
        raise SetupError([f"Python finds a module {package} already; choose another name"])


def _require_distinct(name: str, modules: Iterable[str]) -> None:
    """Refuse a name that gives an invalid class name, or one that hides an import. Raises SetupError."""
    for text in modules:
        try:
            bound = Counter(_bound(ast.parse(text)))
        except SyntaxError:
            reason = f"a class named after {name} would be a Python keyword"
        else:
            twice = sorted(binding for binding, times in bound.items() if times > 1)
            reason = f"the code for {name} would give two things the name {twice[0]}" if twice else ""
        if reason:
            raise SetupError([f"{reason}; choose another name, such as my-{name}"])


def _bound(module: ast.Module) -> Iterator[str]:
    """Each name that a module binds, once for each time."""
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _camel(words: str) -> str:
    return "".join(word.capitalize() for word in words.split())


def _filled(template: str, texts: dict[str, str]) -> str:
    file = files("crm_core.cli") / "templates" / f"{template}.txt"
    return Template(file.read_text(encoding="utf-8")).substitute(texts)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError([f"{path} cannot be written: {error.strerror}"]) from None

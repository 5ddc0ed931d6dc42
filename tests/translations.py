"""The messages of this project, and the catalogues that translate them. As a program, it brings each file up to date.

A new message is added without a translation, one that is gone is removed: ``python tests/translations.py``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from crm_core.errors import CrmError
from crm_core.model.fields import bare, is_struct
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.registry import build_registry
from crm_core.settings.catalog import built_in_catalog
from crm_core.settings.installation import load_plugins
from crm_core.settings.roles import built_in_roles
from crm_core.sync.checks import Check
from crm_core.web.pages.sync.names import PUSHED, member_name, section_title

ROOT = Path(__file__).parents[1]
_TEMPLATES = {"**.html": {"silent": "false"}, "**.txt": {"silent": "false"}}
_METHODS = [("**.html", "jinja2"), ("**.txt", "jinja2"), ("**.js", "javascript")]
PLACE = re.compile(r"\{[a-z_]*\}")
_MARKED = ("web/pages/", "mail/emails.py")  # whose sentences are all marked
_COUNTED = {"text": ("character", "characters"), "a list": ("item", "items"), "an object": ("member", "members")}
_COMPOSED = (
    *(
        f"{kind} of at {side} {number}"
        for kind, (one, many) in _COUNTED.items()
        for side in ("least", "most")
        for number in (f"1 {one}", f"{{number}} {many}")
    ),
    *("{what} of at least {number}", "{what} of at most {number}", "{what} or {other}", "{what}, {other}"),
)
"""Expectations of ``crm_core.model.fields``, composed of a kind, its limits and others that fit too."""
_FUNCTIONS = {"gettext": 1, "gettext_noop": 1, "ngettext": 2}  # with the number of their messages


def catalogues() -> list[Path]:
    """Every file of translations."""
    return sorted(path for folder in ("crm_core", "plugins") for path in (ROOT / folder).rglob("translations/**/*.po"))


def messages(folder: Path) -> Catalog:
    """The messages of a folder of catalogues: of the API, or of the pages of the core, or of a plugin.

    Those of the API are its sentences as the code says them. The others are marked sentences, titles and labels; a
    plugin's sentences are said, too.
    """
    template = Catalog(charset="utf-8")
    if folder.name == "api":
        for message, place in _said(folder, folder.parent.parent):
            template.add(message, locations=[(place, None)] if " " in message else [])
        for message in _COMPOSED:
            template.add(message)
        return template
    package = folder.parent
    for path in sorted(package.rglob("*.py")):
        text = path.read_text()
        if any(f"{function}(" in text for function in _FUNCTIONS):  # most files have none, and reading them takes long
            for message in _in_python(ast.parse(text)):
                template.add(message, locations=[(str(path.relative_to(package)), None)])
    for file, _, message, _, _ in extract_from_dir(package, _METHODS, _TEMPLATES, {"_": None, "ngettext": (1, 2)}):
        template.add(message, locations=[(file, None)])
    for label in _labels(package):
        template.add(label)
    for payload_type in build_registry(load_plugins()).payload_types.values():
        if type(payload_type).__module__.partition(".")[0] == package.name:
            for name in _names_in(payload_type.SECTION):
                template.add(name, context=PUSHED)
    for message, place in _said(folder, package):
        if " " in message and message not in template and package.name != "crm_core":
            template.add(message, locations=[(place, None)])
    return template


@cache
def _said(folder: Path, package: Path) -> tuple[tuple[str, str], ...]:
    """The messages of a folder that the code says, each with the first module that does."""
    listed = {message.id for path in folder.glob("*.po") for message in read(path) if isinstance(message.id, str)}
    sentences = {PLACE.sub("{}", one): one for one in listed}
    found: dict[str, str] = {}
    for path in sorted(package.rglob("*.py")):
        place = str(path.relative_to(package))
        for node in ast.walk(ast.parse("" if place.startswith(_MARKED) else path.read_text())):
            text = text_of(node)
            if text and (sentence := sentences.get(PLACE.sub("{}", text))):
                found.setdefault(sentence, place)
    return tuple(found.items())


def text_of(node: ast.AST) -> str:
    """The text of a constant, or of an f-string with ``{}`` for each value; empty for other code."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _in_python(tree: ast.AST) -> Iterator[str | tuple[str, ...]]:
    """Marked messages; Babel's own reader misses calls inside f-strings and other calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            count = _FUNCTIONS[node.func.id]
            ids = tuple(one.value for one in node.args[:count] if isinstance(one, ast.Constant))
            if len(ids) == count:
                yield ids[0] if count == 1 else ids


def _labels(package: Path) -> Iterator[str]:
    if package.name == "crm_core":
        yield from (module.title for module in built_in_catalog().modules.values())
        yield from (role.title for role in built_in_roles().values())
        yield from (error.title for error in _errors(CrmError))
        yield from (check.title for check in Check)
        return
    registry = build_registry(load_plugins())
    for record_type in registry.record_types.values():
        if type(record_type).__module__.partition(".")[0] == package.name:
            yield from _labels_of(record_type)
    for payload_type in registry.payload_types.values():
        if type(payload_type).__module__.partition(".")[0] == package.name:
            yield section_title(payload_type.NAME)


def _labels_of(record_type: RecordType) -> Iterator[str]:
    yield from (record_type.TITLE, record_type.SINGULAR)
    for member in record_type.members:
        for one in (member, *member.members):
            yield one.label
            yield from (text for _, text in one.choices)


def _names_in(type_: Any) -> Iterator[str]:
    """The names of the members of a section at any depth, as pages show them; free keys of objects are data."""
    inner = bare(type_)
    if get_origin(inner) is dict and get_origin(key := bare(get_args(inner)[0])) is Literal:
        yield from map(member_name, get_args(key))
    if is_struct(inner):
        for field in msgspec.structs.fields(inner):
            yield member_name(field.encode_name)
            yield from _names_in(field.type)
    for argument in get_args(inner):
        yield from _names_in(argument)


def _errors(error: type[CrmError]) -> Iterator[type[CrmError]]:
    yield error
    for each in error.__subclasses__():
        yield from _errors(each)


def updated(path: Path) -> Catalog:
    """A catalogue with the messages of its folder: new ones have no translation, old ones are left out."""
    catalog = read(path)
    catalog.update(messages(path.parent), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    return catalog


def read(path: Path) -> Catalog:
    """The catalogue of a file."""
    with path.open("rb") as file:
        return read_po(file, locale=path.stem, abort_invalid=True)


def main() -> None:
    """Update every catalogue, and print how many of its messages have no translation."""
    for path in catalogues():
        catalog, header = updated(path), path.read_bytes().partition(b"\n\n")[0]
        with path.open("wb") as file:
            file.write(header + b"\n\n")
            write_po(file, catalog, width=110, sort_by_file=True, include_lineno=False, omit_header=True)
        missing = sum(1 for message in catalog if message.id and not is_translated(message))
        sys.stdout.write(f"{path.relative_to(ROOT)}: {len(catalog)} messages, {missing} without a translation\n")


def is_translated(message: Message) -> bool:
    """Whether each form of a message has a translation."""
    return all((message.string,) if isinstance(message.string, str) else message.string or ("",))


if __name__ == "__main__":
    main()

"""Parses YAML text into a tree in which every value has its line and column.

Scalars stay text (``007`` and ``no`` are as written); the readers in ``reading`` give them types. Features of YAML
beyond plain data are refused: duplicate members, anchors, aliases, tags, several documents, tabs as indentation.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from crm_core.settings.places import FileProblem, Place, Wrong, quoted

LARGEST_FILE = 4 * 1024 * 1024  # bytes; a roster of ten thousand tenants
DEEPEST = 24  # levels of members within members

LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL = r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # slow to compile
_TAB_INDENT = re.compile(r"^ *\t[ \t]*(?=[^\s#])", re.MULTILINE)
_SPACE_INDENT = re.compile(r"^ *([\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as written. ``plain``: without quotes, so it may be a number, true, false or null."""

    place: Place
    text: str = field(repr=False)
    plain: bool = True

    @property
    def null(self) -> bool:
        """Whether the value is empty, ``~`` or ``null``."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


class Items(msgspec.Struct, frozen=True):
    """A list."""

    place: Place
    items: tuple[Node, ...]


class MappingMember(msgspec.Struct, frozen=True):
    """A name and its value; ``place`` is the name's."""

    place: Place
    name: str
    value: Node


class Mapping(msgspec.Struct, frozen=True):
    """Names with values in the order of the file, duplicates included."""

    place: Place
    members: tuple[MappingMember, ...]


Node = Scalar | Items | Mapping


def open_nonblocking(path: str, flags: int) -> int:
    """An opener that never blocks, even for a named pipe without a writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def is_there(path: Path) -> bool:
    """Whether an optional file exists, as a link that leads nowhere too, or with the ending .yml.

    ``read_text`` refuses these two.
    """
    return os.path.lexists(path) or os.path.lexists(_other_ending(path))


def _other_ending(path: Path) -> Path:
    return path.with_suffix({".yaml": ".yml"}.get(path.suffix, path.suffix))


def read_text(path: Path, *, may_be_empty: bool = False) -> str:
    """The text of a file, without a BOM. Raises Wrong: missing, not readable, empty, too large, not UTF-8.

    A file of the same name with the ending ``.yml`` is refused too, since its edits would have no effect.
    """
    start, other = Place(path.name, 1, 1), _other_ending(path)
    if other != path and os.path.lexists(other):
        fix = "remove one of the two" if os.path.lexists(path) else f"rename it to {path.name}"
        raise Wrong.at(Place(other.name, 1, 1), f"this file is not read, only {path.name} is; {fix}")
    try:
        with open(path, "rb", opener=open_nonblocking) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Wrong.at(start, "this is not a regular file; replace it with a text file")
            raw = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        where = f"the file is not there; looked for it at {path}"
        known = os.path.lexists(path.with_name("instance.yaml"))  # an empty roster of `crm init` would end every key
        fix = "put it back from a copy" if known else "name its folder with --config, or write one with `crm init`"
        raise Wrong.at(start, f"{where}: {fix}") from None
    except OSError as error:
        raise Wrong.at(start, f"the file cannot be read ({error.strerror}); check its path and permissions") from None
    if len(raw) > LARGEST_FILE:
        raise Wrong.at(start, f"the file is larger than {LARGEST_FILE} bytes; split it or remove what is not needed")
    if not may_be_empty and not raw.removeprefix(codecs.BOM_UTF8).strip():
        # Editors that truncate before they write, and full disks, leave empty files.
        raise Wrong.at(start, "the file is empty; restore its content")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise Wrong.at(Place(path.name, line, column), "this byte is not UTF-8; save the file as UTF-8") from None


def parse(text: str, file: str) -> tuple[Node, list[FileProblem]]:
    """The tree of a YAML text, and the problems of its form. Raises Wrong if there is no tree."""
    control = _ASCII_CONTROL.search(text) if text.isascii() else re.search(_CONTROL, text)
    if control is not None:
        raise Wrong.at(_place(file, text, control.start()), "this is a control character; remove it")
    tabs = [
        FileProblem(
            _place(file, text, match.start() + match.group().index("\t")), "a tab indents this line; use spaces"
        )
        for match in _TAB_INDENT.finditer(text)
    ]
    odd_spaces = [
        FileProblem(_place(file, text, match.start(1)), "an odd space indents this line; use plain spaces")
        for match in _SPACE_INDENT.finditer(text)
    ]
    if odd_spaces:
        raise Wrong([*tabs, *odd_spaces])
    reader = _TreeReader(file, tabs)
    try:
        root = reader.document(_TAB_INDENT.sub(lambda match: match.group().replace("\t", "  "), text))
    except yaml.YAMLError as error:
        if not tabs:
            reader.problems.append(_syntax(error, text, file))
        raise Wrong(reader.problems) from None
    if tabs:  # without the indentation the text may mean something else
        raise Wrong(reader.problems)
    return root, reader.problems


class _TreeReader:
    """Builds the tree from the parser's events, which have duplicates and the places of names."""

    def __init__(self, file: str, problems: list[FileProblem]) -> None:
        self.file = file
        self.problems = list(problems)

    def document(self, text: str) -> Node:
        events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=LOADER))
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                node = self.node(next(events), events, 0)
                if root is None:
                    root = node
                else:
                    self.wrong(event, "a second document starts here; keep one per file, without a line `---`")
        return root if root is not None else Mapping(Place(self.file, 1, 1), ())

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        place = self.place(event)
        if depth > DEEPEST:
            raise Wrong(
                [*self.problems, FileProblem(place, f"more than {DEEPEST} levels within each other; flatten it")]
            )
        self.refuse_extras(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                items.append(self.node(event, events, depth + 1))
            return Items(place, tuple(items))
        if isinstance(event, yaml.MappingStartEvent):
            return Mapping(place, self.members(events, depth))
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(place, event.value, plain=not event.style)
        return Scalar(place, "")  # an alias, reported already

    def members(self, events: Iterator[yaml.Event], depth: int) -> tuple[MappingMember, ...]:
        members: list[MappingMember] = []
        first: dict[str, Place] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            name = self.node(event, events, depth + 1)
            value = self.node(next(events), events, depth + 1)
            if not isinstance(name, Scalar) or name.null:
                self.wrong(event, "the name of a member must be a text; write `name: value`")
                continue
            if name.text in first:
                message = f"{quoted(name.text)} appears a second time, first in line {first[name.text].line}; keep one"
                self.wrong(event, message)
            first.setdefault(name.text, name.place)
            members.append(MappingMember(name.place, name.text, value))
        return tuple(members)

    def refuse_extras(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            message = (
                f"aliases (*{event.anchor}) are not allowed; write the value out, or quote a text that starts with `*`"
            )
            self.wrong(event, message)
            return
        if event.anchor is not None:
            self.wrong(event, f"anchors (&{event.anchor}) are not allowed; remove it, write values out instead")
        if event.tag is not None:
            self.wrong(event, "tags (words that start with `!`) are not allowed; remove it, or quote the text")

    def wrong(self, event: yaml.Event, message: str) -> None:
        self.problems.append(FileProblem(self.place(event), message))

    def place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)


def _place(file: str, text: str, at: int) -> Place:
    return Place(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


_FIXES = (
    (
        "mapping values are not allowed",
        "this value contains a second `: `; quote it, fix the indentation, or end the name in the line above with `:`",
    ),
    ("tab", "this is a tab; use spaces"),
    ("unexpected end of stream", "a quote is opened and never closed; close it"),
    ("expected ',' or", "the list or mapping that `[` or `{` opens is broken; close it, put commas between its parts"),
    ("expected node content", "a value is missing here; write one, or close the bracket that is open"),
    ("unexpected ':'", "a text that ends with `:` needs quotes; write them around it"),
    ("expected key", "this line does not fit the lines above; align it with its neighbors"),
    ("expected '-' indicator", "a list ends here without its indentation; start each item with `- `, aligned"),
    ("could not find expected ':'", "a `:` is missing after the name; write `name: value`"),
    ("document start", "this is not part of the lines above; write `name: value` lines, aligned"),
)


def _syntax(error: yaml.YAMLError, text: str, file: str) -> FileProblem:
    """The parser's complaint as one sentence that never quotes the file, which may contain secrets."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return FileProblem(Place(file, 1, 1), "the text contains a character that YAML does not allow; remove it")
    opened = "expected ',' or" in str(error.problem) or "quoted scalar" in str(error.context)
    mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.splitlines() or [""]
    around = lines[line][max(0, column - 1) : column + 1] if line < len(lines) else ""
    place = Place(file, line + 1, column + 1)
    if "*" in around and "alias" in str(error.context):
        return FileProblem(place, 'a text that starts with `*` needs quotes; write it as "*..."')
    if around[-1:] in ("@", "`", "%"):
        return FileProblem(place, f"a text that starts with {around[-1:]} needs quotes; write them around it")
    message = str(error.problem or error.context or "this is not YAML")
    for part, fix in _FIXES:
        if part in message:
            return FileProblem(place, fix)
    return FileProblem(place, "this is not YAML; check quotes, brackets and indentation from here upwards")

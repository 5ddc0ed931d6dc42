"""Payload files: the ``data`` of a push, as YAML or JSON.

YAML is read with JSON's types only: a value that is not a number, true, false or null in JSON is text. So ``007``,
``no`` and ``2026-11-01`` stay as they are.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from crm_core.errors import MalformedJson, SetupError
from crm_core.model.strict_json import loads
from crm_core.settings.document import LARGEST_FILE, Items, Mapping, Node, Scalar, parse
from crm_core.settings.places import FileProblem, Wrong, setup_error

_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OBJECT = re.compile(rb"\s*\{\s*[\"}]")  # how JSON starts; `{title: Nordwind}` is YAML
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,308})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,308})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


def read_data(file: str) -> dict[str, Any]:
    """The data in a file, ``-`` for standard input. Raises SetupError with file, line and column."""
    name = "standard input" if file == "-" else Path(file).name
    text = read_bytes(file)
    if not text.strip():  # a program that failed without output must not empty a section
        raise SetupError([f"{name} is empty; write {{}} for a section without members"])
    try:
        data = loads(text) if _is_json(file, text) else _plain(parse(_decoded(text, name), name))
    except MalformedJson as error:
        raise SetupError([f"{name}: {error.detail}"]) from None
    except Wrong as wrong:
        raise setup_error(wrong.problems) from None
    if not isinstance(data, dict):
        raise SetupError([f"{name}: the data of a push must be an object with members"])
    return data


def read_bytes(file: str) -> bytes:
    """The bytes of a file, ``-`` for standard input. Raises click.UsageError (not readable), SetupError (too large)."""
    try:
        if file == "-":
            if sys.stdin is None:
                raise SetupError(["standard input is closed; name a file, or pipe the data in"])
            raw = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read ({error.strerror}); check the path") from None
    if len(raw) > LARGEST_FILE:
        raise SetupError([f"{file} is larger than {LARGEST_FILE} bytes, which no receiver accepts"])
    return raw


def read_lines(file: str) -> list[str]:
    """The lines of a text that are not empty. Errors as in ``read_bytes``."""
    text = read_bytes(file).decode("utf-8-sig", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _is_json(file: str, raw: bytes) -> bool:
    suffix = Path(file).suffix.lower()
    return suffix == ".json" or (suffix not in (".yaml", ".yml") and _OBJECT.match(raw) is not None)


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SetupError([f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8"]) from None


def _plain(parsed: tuple[Node, list[FileProblem]]) -> object:
    node, problems = parsed
    if problems:
        raise Wrong(problems)
    return _value(node)


def _value(node: Node) -> object:
    if isinstance(node, Mapping):
        return {member.name: _value(member.value) for member in node.members}
    if isinstance(node, Items):
        return [_value(item) for item in node.items]
    return _typed(node)


def _typed(scalar: Scalar) -> object:
    text = scalar.text
    if not scalar.plain:
        return text
    if scalar.null:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text

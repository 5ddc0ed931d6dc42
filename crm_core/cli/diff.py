"""The changes of a push, preview, revision or restore, one line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import click

_COLORS = {"+": "green", "-": "red", "~": "yellow"}
_LONGEST_VALUE = 200  # characters shown of one value


def show_changes(changes: Iterable[Mapping[str, object]]) -> None:
    """Print the changes of an answer, in color on a terminal, or that there are none."""
    lines = [_line(change) for change in changes]
    for line in lines or ["  no changes"]:
        click.echo(line)


def _line(change: Mapping[str, object]) -> str:
    before, after = change["from"], change["to"]
    sign = "+" if before is None else "-" if after is None else "~"
    values = " -> ".join(_value(value) for value in (before, after) if value is not None)
    if before == after:  # a secret, of which only its presence is shown
        values = f"{_value(after)}, sent again"
    return click.style(f"  {sign} {change['pointer']}: {values}", fg=_COLORS[sign])


def _value(value: object) -> str:
    """A value as JSON without characters that control the terminal."""
    text = json.dumps(value, ensure_ascii=False)
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[:_LONGEST_VALUE])
    return shown if len(text) <= _LONGEST_VALUE else f"{shown}..."

"""Bytes as text in which white space, control characters and line ends are visible."""

from __future__ import annotations

_SEEN = {" ": "\N{MIDDLE DOT}", "\t": "\N{RIGHTWARDS ARROW}", "\r": "\N{SYMBOL FOR CARRIAGE RETURN}"}
_LINE_END = "\N{SYMBOL FOR LINE FEED}"
LEGEND = (
    "\N{MIDDLE DOT} space, \N{RIGHTWARDS ARROW} tab, \N{SYMBOL FOR CARRIAGE RETURN} CR, \N{SYMBOL FOR LINE FEED} LF"
)


def visible(raw: bytes) -> list[str]:
    """The bytes as lines; each LF is shown at the end of its line."""
    lines = raw.decode(errors="backslashreplace").split("\n")
    ended = [_shown(line) + _LINE_END for line in lines[:-1]]
    return ended + ([_shown(lines[-1])] if lines[-1] else [])


def _shown(line: str) -> str:
    return "".join(_SEEN.get(char) or (char if char.isprintable() else f"\\x{ord(char):02x}") for char in line)

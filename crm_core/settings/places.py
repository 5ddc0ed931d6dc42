"""Problems of a file with their places, as ``keys.yaml:5:17: what is wrong; how to fix it``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from crm_core.errors import SetupError

_SAFE_TO_SHOW = re.compile(r"[A-Za-z0-9_.:/* -]{1,31}")  # shorter than any key; without the @ of a URL with a password
MOST_PROBLEMS: Final = 100  # of one file; the rest is counted
_MOST_NAMES: Final = 30  # in a message


class Place(msgspec.Struct, frozen=True, order=True):
    """A position in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def describe(self, text: str) -> str:
        """The text with its position in front."""
        return f"{self.file}:{self.line}:{self.column}: {text}"


class FileProblem(msgspec.Struct, frozen=True, order=True):
    """One thing wrong with a file: a sentence that says what, and how to fix it."""

    place: Place
    text: str


class Wrong(Exception):
    """A part of a file that cannot be read, with every problem found in it."""

    def __init__(self, problems: Iterable[FileProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.place.describe(problem.text) for problem in self.problems))

    @classmethod
    def at(cls, place: Place, text: str) -> Wrong:
        """A single problem."""
        return cls([FileProblem(place, text)])


def setup_error(problems: Iterable[FileProblem]) -> SetupError:
    """The problems in the order of the files' lines, each reported once, up to ``MOST_PROBLEMS``."""
    ordered = sorted(set(problems))
    lines = [problem.place.describe(problem.text) for problem in ordered[:MOST_PROBLEMS]]
    if len(ordered) > MOST_PROBLEMS:
        lines.append(f"{ordered[0].place.file}: {len(ordered) - MOST_PROBLEMS} more errors follow; fix the first")
    return SetupError(lines)


def quoted(text: str) -> str:
    """A text for a message, quoted unless it could be a secret."""
    return f"`{text}`" if _SAFE_TO_SHOW.fullmatch(text) else "this"


def named(what: str, name: str) -> str:
    """Something in a message, such as ``unknown member``, with its name unless that could be a secret."""
    return f"{what} `{name}`" if _SAFE_TO_SHOW.fullmatch(name) else f"{what} of this name"


def listed(names: Iterable[str]) -> str:
    """Names for a message: ``a, b or c``."""
    names = sorted(names)
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "nothing"


def hint(text: str, names: Iterable[str]) -> str:
    """Advice for an unknown name: the nearest of ``names``, or a list of them."""
    known = sorted(names)
    near = closest(text, known)
    if near is not None:
        return f"did you mean `{near}`?"
    if len(known) > _MOST_NAMES:
        return f"known here are {len(known)} names, such as {', '.join(known[:_MOST_NAMES])}"
    return f"known here: {listed(known)}" if known else "remove it"


def closest(text: str, names: Iterable[str]) -> str | None:
    """The name that a misspelled one probably means; None if none is near."""
    known = sorted(names)
    near = difflib.get_close_matches(text, known, n=1) or [name for name in known if text and name.startswith(text)]
    return near[0] if near else None

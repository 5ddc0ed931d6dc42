"""Count the words that this project writes otherwise, in names, strings, docstrings, comments and docs.

Run as a program it prints the table: ``python tests/meta/language.py``.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

NEVER: dict[str, str] = {
    r"\b(?:told|tells?|untold)\b": "say, report, show, return; a message, a text",
    r"\b(?:whoever|whatever|wherever|nobody|somebody)\b": "the role; no one; regardless of",
    r"(?<!from a )\bletters?\b(?!,? (?:of the alphabet|digits|and digits|or digits))": "email",
    r"\banew\b": "again",
    r"\bin force\b": "in effect, current, active",
    r"\b(?:mend|mends|mended|mending)\b": "fix",
    r"\bneeds not\b": "does not need to",
}
"""Words that are never right, with what to write."""

FALLING: dict[str, str] = {
    r"\bWhat (?:is|are|a|the|was|has)\b": "name the thing itself",
    r"\b(?:hold|holds|held|holding)\b": "contain, have, keep, cached",
    r"\b(?:stands?|lies|lie|stood|lay)\b": "is, appears, is stored",
    r"\basks? for\b": "request, require",
    r"\bat once\b": "immediately; at the same time",
    r"\bkept\b": "stored, retained, cached",
    r"\b(?:of ours|of its own|of their own)\b": "our, its own",
    r"\bgoes? on\b": "continues",
    r"\bbeside\b": "next to, besides",
    r"\bNone where\b": "None if",
    r"\bwhere (?:there )?is (?:none|not)\b": "that does not exist; if there is none",
    r"\bunder way\b": "in progress, pending",
    r"\b(?:spelt|by hand|at hand|way out)\b": "written; manually; available; fix",
    r"\b(?:mail address|e-mail)\b": "email address",
}
"""Words that have right uses, but that we wrote too often: their counts may only fall."""


def texts_of_code(path: Path) -> Iterator[tuple[str, str]]:
    """Each name (split at underscores), string and comment of a Python file, with its kind."""
    at_start = True
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield "names", token.string.replace("_", " ")
        elif token.type == tokenize.STRING:
            prose = at_start and token.string.lstrip("rR").startswith('"""')
            yield ("docstrings" if prose else "strings"), token.string
        elif token.type == tokenize.COMMENT:
            yield "docstrings", token.string
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            at_start = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


def texts(sought: re.Pattern[str]) -> Iterator[tuple[str, str, str]]:
    """File, kind and text of all that this project writes for people, without files that have none of the words.

    This module is left out.
    """
    for folder in ("crm_core", "plugins", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.parent != Path(__file__).parent or path.stem not in ("language", "test_language"):
                name = str(path.relative_to(ROOT))
                if sought.search(path.read_text().replace("_", " ")):  # reading tokens takes seven times as long
                    yield from ((name, kind, text) for kind, text in texts_of_code(path))
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "crm_core").rglob("*.html")]
    pages += [*(ROOT / "config").glob("*.yaml"), *(ROOT / "crm_core").rglob("*.txt")]
    for path in sorted(pages):
        yield str(path.relative_to(ROOT)), "docs", path.read_text()


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds all places of the words, and more: regardless of case and of what is around them."""
    return re.compile("|".join(re.sub(r"\(\?<?!.*?\)+", "", word) for word in words), re.IGNORECASE)


def counts(words: dict[str, str]) -> dict[str, Counter[str]]:
    """How often each word is written, by kind of text."""
    patterns = {word: re.compile(word, re.IGNORECASE if word[2] != "W" else 0) for word in words}
    found: dict[str, Counter[str]] = {word: Counter() for word in words}
    # Each different text is searched once: names come again and again.
    for (kind, text), times in Counter((kind, text) for _, kind, text in texts(any_of(words))).items():
        for word, pattern in patterns.items():
            if hits := len(pattern.findall(text)):
                found[word][kind] += hits * times
    return found


def places(word: str) -> Iterator[str]:
    """Where a word is written: file, kind and the words around it."""
    pattern = re.compile(word, re.IGNORECASE)
    for path, kind, text in texts(any_of([word])):
        for hit in pattern.finditer(text):
            around = text[max(0, hit.start() - 40) : hit.end() + 30].replace("\n", " ")
            yield f"{path} ({kind}): {around.strip()}"


if __name__ == "__main__":
    for word, by_kind in counts({**NEVER, **FALLING}).items():
        sys.stdout.write(f"{sum(by_kind.values()):5}  {word}  {dict(by_kind)}\n")

"""A language and its catalogue, read from ``LANGUAGE.po``: the English text of each message is its id.

The format is that of GNU gettext (https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html). Files are read
as they are, so that a translation takes effect without a build; messages marked ``fuzzy`` are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from gettext import c2py
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from crm_core.errors import SetupError

if TYPE_CHECKING:
    from babel import Locale

Text = str | tuple[str, str]
"""A message, or its context and the message."""

_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "t": "\t"}
_LINE: Final = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr(?:\[[0-9]\])?)\s+)?"((?:[^"\\]|\\.)*)"')
_PLACE: Final = re.compile(r"\{([a-z_]*)\}|[{}]")
_RULE: Final = re.compile(r"plural=([^;\n]+)")
_TAG: Final = re.compile(r"[a-z]{2,3}(?:_[A-Z][a-z]{3})?(?:_(?:[A-Z]{2}|[0-9]{3}))?")


class Language(msgspec.Struct, frozen=True, dict=True):
    """A language by its BCP 47 tag, with the translation of each message; what is not translated stays English.

    ``rule``: which of the forms of ``plurals`` fits the number ``n``, as an expression in C.
    """

    tag: str
    texts: Mapping[Text, str]
    plurals: Mapping[str, tuple[str, ...]]
    rule: str

    @cached_property
    def plural(self) -> Callable[[int], int]:
        """Which form fits a number."""
        return c2py(self.rule)

    @cached_property
    def locale(self) -> Locale:
        """Its names of months and days."""
        from babel import Locale  # not for commands, which only speak English

        return Locale.parse(self.tag, sep="-")

    @cached_property
    def name(self) -> str:
        """Its name in the language itself."""
        name = self.locale.get_display_name(self.locale) or self.tag
        return name[0].upper() + name[1:]


ENGLISH: Final = Language("en", {}, {}, "n != 1")


def gettext_noop(message: str) -> str:
    """Mark a constant, which is looked up where it is shown."""
    return message


class _Entry:
    """A message while its lines are read."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.line = 0
        self.fuzzy = False


def read_catalogue(path: Path, below: Language | None = None) -> Language:
    """The language of a file; its messages come before those of ``below``. Raises SetupError with every problem."""
    if not _TAG.fullmatch(path.stem):
        raise SetupError([f"{path.name}: name the file after a language, such as fr.po or pt_BR.po"])
    texts: dict[Text, str] = dict(below.texts) if below else {}
    plurals = dict(below.plurals) if below else {}
    rule, problems = below.rule if below else ENGLISH.rule, list[str]()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError([f"{path.name}: {error}"]) from None
    for entry in _entries(lines, path.name, problems):
        parts = entry.parts
        message, forms = parts.get("msgid", ""), [text for name, text in parts.items() if name.startswith("msgstr")]
        if not message:
            written = _RULE.search(forms[0]) if forms else None
            rule = _valid(written[1], f"{path.name}:{entry.line}", problems) if written else rule
            continue
        if entry.fuzzy or not all(forms):
            continue
        if problem := _misplaced(message + parts.get("msgid_plural", ""), forms):
            problems.append(f"{path.name}:{entry.line}: {problem}")
        elif "msgid_plural" in parts:
            plurals[message] = tuple(forms)
        else:
            texts[(parts["msgctxt"], message) if "msgctxt" in parts else message] = forms[0]
    if problems:
        raise SetupError(problems)
    return Language(path.stem.replace("_", "-"), texts, plurals, rule)


def _entries(lines: list[str], name: str, problems: list[str]) -> Iterator[_Entry]:
    entry, last = _Entry(), ""
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            if "msgid" in entry.parts:
                yield entry
                entry, last = _Entry(), ""
            entry.fuzzy |= line.startswith("#,") and "fuzzy" in line
        elif line.strip():
            found = _LINE.fullmatch(line.strip())
            if found is None or not (found[1] or last):
                problems.append(f"{name}:{number}: write msgid, msgstr or a text in quotes")
                continue
            if found[1] in ("msgctxt", "msgid") and "msgstr" in last:
                yield entry
                entry = _Entry()
            last = found[1] or last
            entry.line = entry.line or number
            entry.parts[last] = entry.parts.get(last, "") + _unescaped(found[2])
    if entry.parts:
        yield entry


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text) if "\\" in text else text


def _valid(rule: str, place: str, problems: list[str]) -> str:
    try:
        c2py(rule)
    except ValueError as error:
        problems.append(f"{place}: Plural-Forms: {error}")
    return rule


def _misplaced(message: str, forms: list[str]) -> str:
    """Why translations cannot be filled in as their message is; empty if they can."""
    known = {found[0] for found in _PLACE.finditer(message)} | {"{n}"}
    strange = sorted({found[0] for form in forms for found in _PLACE.finditer(form)} - known)
    return f"the message has no {', '.join(strange)}" if strange else ""

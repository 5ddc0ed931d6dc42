"""A language and its catalogue, read from ``LANGUAGE.po``: the English text of each message is its id.

The format is that of GNU gettext (https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html). Files are read
directly, so that a translation takes effect without a build; messages marked ``fuzzy`` are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
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
_LINE: Final = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr(?:\[[0-9]\])?)\s+)?"((?:[^"\\]++|\\.)*+)"')
_PLACEHOLDER: Final = re.compile(r"\{[a-z_]*\}|[{}]")
_RULE: Final = re.compile(r"plural=([^;\n]+)")
_FORMS: Final = re.compile(r"nplurals=\s*([0-9])\b")
_MOST_FORMS: Final = 10
_MOST_BYTES: Final = 4 << 20
_COUNTS: Final = range(1001)
_TAG: Final = re.compile(r"[a-z]{2,3}(?:_[A-Z][a-z]{3})?(?:_(?:[A-Z]{2}|[0-9]{3}))?")


class Language(msgspec.Struct, frozen=True, dict=True):
    """A language by its BCP 47 tag, with the translation of each message; other messages stay English.

    ``rule``: which of the forms of ``plurals`` fits the number ``n``, as an expression in C. ``sentences``: messages
    of the API and of plugins with placeholders, which are recognized when they are filled in.
    """

    tag: str
    texts: Mapping[Text, str]
    plurals: Mapping[str, tuple[str, ...]]
    rule: str
    sentences: tuple[str, ...] = ()

    @cached_property
    def plural(self) -> Callable[[int], int]:
        """The index of the form for a number."""
        return c2py(self.rule)

    @cached_property
    def locale(self) -> Locale:
        """Its formats and names of dates and numbers, as Babel has them."""
        from babel import Locale  # not for commands, which only speak English

        return Locale.parse(self.tag, sep="-")

    @cached_property
    def name(self) -> str:
        """Its name in the language itself."""
        name = self.locale.get_display_name(self.locale) or self.tag
        return name[0].upper() + name[1:]


ENGLISH: Final = Language("en", {}, {}, "n != 1")


def gettext_noop(message: str) -> str:
    """Mark a constant for translation; it is looked up where it is shown."""
    return message


class _Entry:
    """A message while its lines are read."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.line = 0
        self.fuzzy = False


def read_catalogue(path: Path, below: Language | None = None) -> Language:
    """The language of a file; its messages come before those of ``below``. Raises SetupError with every problem."""
    below = below or Language(_tag_of(path), {}, {}, ENGLISH.rule)
    texts, plurals, places, header = dict(below.texts), dict(below.plurals), dict[str, str](), ""
    rule, problems = below.rule, list[str]()
    for entry in _entries(_lines(path), path.name, problems):
        parts, place = entry.parts, f"{path.name}:{entry.line}"
        message, forms = parts.get("msgid", ""), [parts[name] for name in sorted(parts) if name.startswith("msgstr")]
        if "msgid" not in parts or not forms:
            problems.append(f"{place}: a message has a msgid, then a msgstr; add the one that is missing")
        elif not message:
            if written := _RULE.search(forms[0]):
                rule, header = written[1], place
                declared = _FORMS.search(forms[0])
                problems.extend(_unfit(rule, place, int(declared[1]) if declared else _MOST_FORMS))
        elif entry.fuzzy or not all(forms):
            continue
        elif problem := _misplaced(parts, forms):
            problems.append(f"{place}: {problem}")
        elif "msgid_plural" in parts:
            plurals[message], places[message] = tuple(forms), place
        else:
            texts[(parts["msgctxt"], message) if "msgctxt" in parts else message] = forms[0]
    if not problems:
        needed = _forms_of(rule)
        problems.extend(
            f"{places.get(message) or header}: {message!r} has {len(forms)} plural forms, Plural-Forms needs {needed}"
            for message, forms in plurals.items()
            if len(forms) < needed
        )
    if problems:
        raise SetupError(problems)
    return Language(below.tag, texts, plurals, rule)


def _tag_of(path: Path) -> str:
    """The language that a file is named after. Raises SetupError."""
    from babel import Locale, UnknownLocaleError

    tag = path.stem.replace("_", "-")
    try:
        if _TAG.fullmatch(path.stem) and Locale.parse(tag, sep="-"):
            return tag
    except (ValueError, UnknownLocaleError):
        pass
    raise SetupError([f"{path.name}: name the file after a known language, such as fr.po or pt_BR.po"])


def _lines(path: Path) -> list[str]:
    """The lines of a file. Raises SetupError; a pipe or device is not opened, which could wait forever."""
    try:
        if path.exists() and not path.is_file():
            raise SetupError([f"{path.name}: this is not a regular file; put the catalogue itself here"])
        if path.exists() and path.stat().st_size > _MOST_BYTES:
            raise SetupError([f"{path.name}: the file is over {_MOST_BYTES >> 20} MiB; remove all but messages"])
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise SetupError([f"{path.name}: the file cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SetupError([f"{path.name}: save the file as UTF-8"]) from None


def _entries(lines: list[str], name: str, problems: list[str]) -> Iterator[_Entry]:
    entry, last = _Entry(), ""
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            if "msgid" in entry.parts:
                yield entry
                entry, last = _Entry(), ""
            if line.startswith("#,"):
                entry.fuzzy |= "fuzzy" in line
        elif line and (text := line.strip()):
            match = _LINE.fullmatch(text)
            if match is None or not (match[1] or last):
                problems.append(f"{name}:{number}: write msgid, msgstr or a text in quotes")
                continue
            part, value = match.groups()
            if part in entry.parts or (part in ("msgctxt", "msgid") and "msgstr" in last):
                yield entry
                entry = _Entry()
            last = part or last
            entry.line = entry.line or number
            entry.parts[last] = entry.parts.get(last, "") + _unescaped(value)
    if entry.parts:
        yield entry


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text) if "\\" in text else text


def _unfit(rule: str, place: str, declared: int) -> Iterator[str]:
    """The problem of a plural rule that cannot be used with so many forms."""
    try:
        if _forms_of(rule) > declared:
            yield f"{place}: Plural-Forms: the rule points past the {declared} forms; correct it or nplurals"
    except ValueError as error:
        yield f"{place}: Plural-Forms: {error}"


@lru_cache(maxsize=64)  # files of a language share a rule
def _forms_of(rule: str) -> int:
    """The number of forms that a rule chooses from. Raises ValueError if it fails for some count."""
    if not rule.isascii():
        raise ValueError("write the rule in ASCII")  # scripts of pages run it too
    # The result of a rule can change next to the numbers in it.
    near = (int(number) + step for number in re.findall("[0-9]{1,9}", rule) for step in (-1, 0, 1))
    try:
        plural = c2py(rule)
        chosen = {plural(count) for count in {*_COUNTS, *near} if count >= 0}
    except ZeroDivisionError:
        raise ValueError("the rule divides by zero for some numbers") from None
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError("the rule is too complex") from None
    if min(chosen) < 0:
        raise ValueError("the rule is negative for some numbers")
    return max(chosen) + 1


def _misplaced(parts: Mapping[str, str], forms: list[str]) -> str:
    """Why translations cannot be filled in as their message is; empty if they can."""
    plural = parts.get("msgid_plural")
    if plural is None and not any("{" in form or "}" in form for form in forms):
        return ""
    known = {match[0] for match in _PLACEHOLDER.finditer(parts["msgid"] + (plural or ""))}
    if plural is not None:
        known.add("{n}")
        if any(f"msgstr[{index}]" not in parts for index in range(len(forms))):
            return "number the plural forms msgstr[0], msgstr[1] and so on"
    strange = sorted({match[0] for form in forms for match in _PLACEHOLDER.finditer(form)} - known)
    return f"the message has no {', '.join(strange)}" if strange else ""

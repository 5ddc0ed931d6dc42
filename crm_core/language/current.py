"""Looking up sentences in the current language: that of the request, or of the recipient of an email.

A sentence names its values in braces: ``gettext("Email sent to {email}", email=user.email)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Final

from crm_core.language.catalogue import ENGLISH, Language

_LONGEST_PART: Final = 600
"""Characters of a value that is looked up; ours are shorter."""
_LOOKED_UP: Final = frozenset({"what", "other", "span", "age", "side", "state", "problem", "place", "why"})
"""Values of sentences that are sentences or words of a catalogue themselves; others stay as they are."""
_NEEDED: Final = frozenset({"what", "other"})
"""Values without which a sentence stays English, or it would be half translated."""
_PLACEHOLDER: Final = re.compile(r"\\{([a-z_]+)\\}")  # as re.escape leaves it
# Not state of the module: each request has its own context.
_CURRENT: Final[ContextVar[Language]] = ContextVar("language", default=ENGLISH)


def current() -> Language:
    """The current language; English outside of requests."""
    return _CURRENT.get()


def set_language(language: Language) -> None:
    """Use a language until the end of the request, or of the task."""
    _CURRENT.set(language)


@contextmanager
def using_language(language: Language) -> Iterator[None]:
    """Use a language for a while."""
    token = _CURRENT.set(language)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def gettext(message: str, /, **values: object) -> str:
    """A sentence in the current language, filled in."""
    text = _CURRENT.get().texts.get(message, message)
    return single_periods(text, values).format(**values) if values else text


def single_periods(text: str, values: Mapping[str, object]) -> str:
    """A sentence without its period after a value that ends with one, such as a short date in German."""
    for name, value in values.items():
        if isinstance(value, str) and value.endswith((".", ".</time>")):
            text = re.sub(rf"(\{{{name}\}})\.(?=\s|$)", r"\1", text)
    return text


def ngettext(one: str, many: str, count: int, /, **values: object) -> str:
    """A sentence about a number of things; ``{n}`` is the number unless ``values`` has it formatted."""
    language = _CURRENT.get()
    forms = language.plurals.get(one)
    text = forms[language.plural(count)] if forms else one if count == 1 else many
    return text.format(**{"n": count, **values})


def label_of(label: str, context: str = "") -> str:
    """A title or label of a module or record type; ``context``: the name of the record type that it belongs to."""
    texts = _CURRENT.get().texts
    return texts.get((context, label)) or texts.get(label, label)


def noun(word: str) -> str:
    """A title or label inside a sentence: in lower case, except in German, or if it has capitals inside."""
    language = _CURRENT.get().tag.partition("-")[0]
    return word if language == "de" or word[1:] != word[1:].lower() else word.lower()


def localized(text: str) -> str:
    """A sentence of the API in the current language, if the catalogue has it or its pattern; else as it is."""
    language = _CURRENT.get()
    return (_translated(text, language, {}) or text) if language.texts else text


def _translated(text: str, language: Language, known: dict[str, str | None]) -> str | None:
    """``known``: the parts that were looked up before; without it the time would be exponential."""
    if text not in known:
        known[text] = _found(text, language, known)
    return known[text]


def _found(text: str, language: Language, known: dict[str, str | None]) -> str | None:
    texts = language.texts
    if text in texts:
        return texts[text]
    if text[:-1] in texts and text.endswith("."):  # the title of an error, as its sentence
        return f"{texts[text[:-1]]}."
    candidates = (sentence for sentence in language.sentences if text.startswith(sentence.partition("{")[0]))
    return next((found for sentence in candidates if (found := _refilled(sentence, text, language, known))), None)


def _refilled(sentence: str, text: str, language: Language, known: dict[str, str | None]) -> str | None:
    match = _pattern_of(sentence).fullmatch(text)
    if match is None:
        return None
    values = match.groupdict()
    for name in values.keys() & _LOOKED_UP:
        part = values[name]
        translated = _translated(part, language, known) if len(part) <= _LONGEST_PART else None
        if translated is None and name in _NEEDED:
            return None
        values[name] = translated or values[name]
    return language.texts.get(sentence, sentence).format(**values)


@cache
def _pattern_of(sentence: str) -> re.Pattern[str]:
    """A pattern that matches the filled-in sentence, with a group for each value."""
    seen: set[str] = set()

    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>.+?)"

    return re.compile(_PLACEHOLDER.sub(group, re.escape(sentence)), re.DOTALL)

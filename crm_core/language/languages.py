"""All languages of an instance: the catalogues of the core, of its plugins and of its configuration, by language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from crm_core.errors import SetupError
from crm_core.language.catalogue import ENGLISH, Language, Text, read_catalogue

CORE: Final = Path(__file__).parent.parent / "translations"
API: Final = CORE / "api"
"""The catalogues of pages and emails, and those of the API's sentences, which pages show too."""
_PLACEHOLDER: Final = re.compile(r"\{[a-z_]*\}")


class Languages:
    """The languages by tag, English first; if two files of a language have a message, the later folder counts.

    ``folders``: those of plugins, then of the configuration; each may have files such as ``de.po``.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._folders = (CORE, API, *folders)

    @cached_property
    def by_tag(self) -> Mapping[str, Language]:
        """Every language; read at start. Raises SetupError if a file cannot be read."""
        tags = [path.stem.replace("_", "-") for path in CORE.glob("*.po")]  # known: Babel is not loaded to check them
        languages = {ENGLISH.tag: ENGLISH} | {tag: Language(tag, {}, {}, ENGLISH.rule) for tag in tags}
        problems, of_core = list[str](), set[Text]()
        for path in (path for folder in self._folders for path in sorted(folder.glob("*.po"))):
            try:
                language = read_catalogue(path, languages.get(path.stem.replace("_", "-")))
            except SetupError as error:
                problems.extend(f"{path.parent.parent.name}/{path.parent.name}/{problem}" for problem in error.problems)
            else:
                languages[language.tag] = language
                if path.parent == CORE:
                    of_core.update(language.texts)
        if problems:
            raise SetupError(problems)
        others = {
            text for language in languages.values() for text in language.texts.keys() - of_core if isinstance(text, str)
        }
        sentences = tuple(sorted((text for text in others if "{" in text), key=_by_words))
        # English has no messages to look up, and dates compare a language with it.
        read = {
            tag: language if language is ENGLISH else replace(language, sentences=sentences)
            for tag, language in languages.items()
        }
        return MappingProxyType(read)

    @cached_property
    def _by_lower_tag(self) -> Mapping[str, Language]:
        return {tag.lower(): language for tag, language in self.by_tag.items()}

    def choose(self, wishes: Iterable[str | None]) -> Language:
        """The first wish that has a catalogue, else English: ``de-AT`` is German if it has none.

        Tags are compared without case (RFC 5646, section 2.1.1).
        """
        for wish in wishes:
            parts = (wish or "").lower().replace("_", "-").split("-")
            for count in range(len(parts), 0, -1):
                if language := self._by_lower_tag.get("-".join(parts[:count])):
                    return language
        return ENGLISH


def _by_words(sentence: str) -> tuple[int, str]:
    """The most exact sentence first: what fits it may fit a vaguer one, too."""
    return -len(_PLACEHOLDER.sub("", sentence)), sentence

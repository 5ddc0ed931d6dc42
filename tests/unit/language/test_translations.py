"""Every message has its German, and the messages are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from crm_core.language.sentences import SENTENCES
from translations import ROOT, catalogues, is_translated, messages, read, text_of

_PLACE = re.compile(r"\{[a-z_]*\}")


def forms(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def ids(catalog: Catalog) -> set[object]:
    return {message.id for message in catalog if message.id}


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: f"{path.parents[1].name} {path.stem}")
def test_each_message_has_a_translation(path: Path) -> None:
    """None is missing, empty or obsolete: `make translations` adds and removes them."""
    catalog = read(path)
    assert ids(messages(path.parents[1])) - ids(catalog) == set()
    assert ids(catalog) - ids(messages(path.parents[1])) == set()
    assert [message.id for message in catalog if message.id and not is_translated(message)] == []
    assert [message.id for message in catalog if message.id and message.fuzzy] == []


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: f"{path.parents[1].name} {path.stem}")
def test_translations_have_the_places_of_their_message(path: Path) -> None:
    """Each value of the English sentence is in the other, too; only a number may be left out."""
    for message in read(path):
        if message.id:
            english = message.id if isinstance(message.id, tuple) else (message.id,)
            wanted = {place for one in english for place in _PLACE.findall(one)}
            for form in forms(message):
                assert set(_PLACE.findall(form)) | {"{n}"} == wanted | {"{n}"}, message.id


def test_sentences_of_the_api_are_those_that_it_says() -> None:
    """A pattern that no code fills in would translate nothing."""
    written = set(_texts())
    assert [one for one in SENTENCES if _PLACE.sub("{}", one) not in written] == []


def _texts() -> Iterator[str]:
    """Every text of the core and its plugins outside of the language, and of f-strings with ``{}`` for each value."""
    for folder in ("crm_core", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent.name != "language":
                yield from map(text_of, ast.walk(ast.parse(path.read_text())))

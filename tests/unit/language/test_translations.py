"""Every message has its German, and the messages are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from translations import PLACE, catalogues, is_translated, messages, read


def forms(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def ids(catalog: Catalog) -> set[object]:
    return {message.id for message in catalog if message.id}


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: f"{path.parents[1].name} {path.stem}")
def test_each_message_has_a_translation(path: Path) -> None:
    """None is missing, empty or obsolete: `make translations` adds and removes them."""
    catalog = read(path)
    assert ids(messages(path.parent)) - ids(catalog) == set()
    assert ids(catalog) - ids(messages(path.parent)) == set()
    assert [message.id for message in catalog if message.id and not is_translated(message)] == []
    assert [message.id for message in catalog if message.id and message.fuzzy] == []


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: f"{path.parents[1].name} {path.stem}")
def test_translations_have_the_places_of_their_message(path: Path) -> None:
    """Each value of the English sentence is in the other, too; only a number may be left out."""
    for message in read(path):
        if message.id:
            english = message.id if isinstance(message.id, tuple) else (message.id,)
            wanted = {place for one in english for place in PLACE.findall(one)}
            for form in forms(message):
                assert set(PLACE.findall(form)) | {"{n}"} == wanted | {"{n}"}, message.id

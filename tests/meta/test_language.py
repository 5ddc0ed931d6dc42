"""The words of the project: some are never written, and of others there are never more than before."""

from __future__ import annotations

from itertools import islice

import pytest

from meta.language import FALLING, NEVER, counts, places

MOST = dict(zip(NEVER, (4, 2, 7, 0, 0, 3, 0), strict=True))
"""How often the words that are never right may still be written."""
MOST_FALLING = dict(zip(FALLING, (15, 21, 6, 1, 0, 7, 3, 0, 0, 0, 0, 0, 0, 0), strict=True))
"""How often the others may be written: lower a number whenever it has fallen, and never raise one."""


@pytest.fixture(scope="module")
def found() -> dict[str, int]:
    """How often each word is written."""
    return {word: sum(kinds.values()) for word, kinds in counts({**NEVER, **FALLING}).items()}


@pytest.mark.parametrize("word", [*NEVER, *FALLING])
def test_the_words_of_the_project(word: str, found: dict[str, int]) -> None:
    """No word of another dialect is written more often than it may be."""
    most = {**MOST, **MOST_FALLING}[word]
    instead = {**NEVER, **FALLING}[word]
    if found[word] > most:
        some = "\n".join(islice(places(word), 20))
        pytest.fail(f"{word} is written {found[word]} times, at most {most} may be; write: {instead}\n{some}")

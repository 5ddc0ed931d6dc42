from __future__ import annotations

import gc
from typing import Any, NamedTuple
from weakref import ref

from markupsafe import Markup

from crm_core.web.pages.layout.fragment_cache import FragmentCache


class FakeWorkspace:
    """A workspace; only its name and identity matter here."""

    tenant = "north"


class Part(NamedTuple):
    """A fragment of one kind."""

    html: Markup


def test_a_fragment_is_rendered_once_per_workspace() -> None:
    """Another key, or the workspace after a change, renders it again."""
    cache = FragmentCache()
    first, second = FakeWorkspace(), FakeWorkspace()
    made: list[str] = []

    def get(workspace: Any, key: str) -> None:
        def make() -> Part:
            made.append(key)
            return Part(Markup(key))

        assert cache.get(workspace, Part, key, make) == (key,)

    for workspace, key in ((first, "a"), (first, "a"), (first, "b"), (second, "a"), (second, "a")):
        get(workspace, key)
    assert made == ["a", "b", "a"]


def test_the_characters_of_all_fragments_are_limited() -> None:
    """The oldest long fragments are dropped, regardless of their number."""
    cache, workspace = FragmentCache(100_000), FakeWorkspace()
    made: list[int] = []

    def get(number: int) -> None:
        def make() -> Part:
            made.append(number)
            return Part(Markup("x" * 20_000))

        cache.get(workspace, Part, number, make)  # type: ignore[arg-type]

    for number in [*range(50), *range(46, 50), 0]:
        get(number)
    assert made == [*range(50), 0]


def test_no_fragment_keeps_a_workspace_that_was_replaced() -> None:
    """A workspace of which fragments are cached is freed once nothing else has it."""
    cache, workspace = FragmentCache(), FakeWorkspace()
    seen = ref(workspace)
    cache.get(workspace, Part, "a", lambda: Part(Markup("a")))  # type: ignore[arg-type]
    del workspace
    gc.collect()
    assert seen() is None

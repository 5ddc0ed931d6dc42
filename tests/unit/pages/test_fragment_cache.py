from __future__ import annotations

from typing import Any, NamedTuple

from markupsafe import Markup

from crm_core.web.pages.layout.fragment_cache import FragmentCache


class Room:
    """A workspace, of which only the name and the identity count here."""

    tenant = "north"


class Part(NamedTuple):
    """A fragment of one kind."""

    html: Markup


def test_a_fragment_is_made_once_while_its_workspace_is_the_same() -> None:
    """Another key, or the workspace after a change, makes it again."""
    cache = FragmentCache()
    first, second = Room(), Room()
    made: list[str] = []

    def get(room: Any, key: str) -> None:
        def make() -> Part:
            made.append(key)
            return Part(Markup(key))

        assert cache.get(room, Part, key, make) == (key,)

    for room, key in ((first, "a"), (first, "a"), (first, "b"), (second, "a"), (second, "a")):
        get(room, key)
    assert made == ["a", "b", "a"]


def test_long_fragments_do_not_fill_the_memory() -> None:
    """Their characters together are bounded, and not only their number."""
    cache, room = FragmentCache(100_000), Room()
    made: list[int] = []

    def get(number: int) -> None:
        def make() -> Part:
            made.append(number)
            return Part(Markup("x" * 20_000))

        cache.get(room, Part, number, make)  # type: ignore[arg-type]

    for number in [*range(50), *range(46, 50), 0]:
        get(number)
    assert made == [*range(50), 0]

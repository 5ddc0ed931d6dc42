from __future__ import annotations

from typing import Any

from markupsafe import Markup

from crm_core.web.pages.layout.fragment_cache import FragmentCache


class Room:
    """A workspace, of which only the name and the identity count here."""

    tenant = "north"


def test_a_part_is_made_once_while_its_workspace_is_the_same() -> None:
    """Another key, or the workspace after a change, makes it again."""
    kept: FragmentCache[Any] = FragmentCache()
    first, second = Room(), Room()
    made: list[str] = []

    def get(room: Room, key: str) -> None:
        kept.get(room, key, lambda: (Markup(made.append(key) or key),))  # type: ignore[arg-type, func-returns-value]

    for room, key in ((first, "a"), (first, "a"), (first, "b"), (second, "a"), (second, "a")):
        get(room, key)
    assert made == ["a", "b", "a"]


def test_long_parts_do_not_fill_the_memory() -> None:
    """Their characters together are bounded, and not only their number."""
    kept: FragmentCache[Any] = FragmentCache(100_000)
    room: Any = Room()
    for number in range(50):
        kept.get(room, number, lambda: (Markup("x" * 10_000), Markup("y" * 10_000)))
    assert len(kept._held) == 4

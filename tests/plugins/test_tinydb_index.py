from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_tinydb.index import Index, slots
from crm_tinydb.sorted_slots import Slot, SortedSlots

SLOTS = st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "c"]), st.integers(0, 40).map("{:02d}".format))
Change = tuple[str, Slot]


@given(
    st.lists(SLOTS, unique=True),
    st.lists(st.tuples(st.sampled_from(["add", "remove"]), SLOTS), max_size=120),
    SLOTS,
    SLOTS,
)
def test_like_a_sorted_list(first: list[Slot], changes: list[Change], low: Slot, high: Slot) -> None:
    """After any adds and removes, counts and walks equal those of a plain sorted list, across many small chunks."""
    with patch("crm_tinydb.sorted_slots.CHUNK", 4):
        ordered, plain = SortedSlots(first), set(first)
        for what, slot in changes:
            if what == "add" and slot not in plain:
                ordered.add([slot])
                plain.add(slot)
            elif what == "remove" and slot in plain:
                ordered.remove(slot)
                plain.discard(slot)
            elif what == "remove":
                with pytest.raises(ValueError, match="not in the index"):
                    ordered.remove(slot)
    expected = sorted(plain)
    assert list(ordered.up(None)) == expected
    assert list(ordered.down(None)) == expected[::-1]
    assert list(ordered.up(low)) == [slot for slot in expected if slot > low]
    assert list(ordered.down(low)) == [slot for slot in expected if slot < low][::-1]
    inside = [slot for slot in expected if low <= slot <= high]
    assert list(ordered.between(low, high)) == inside
    assert ordered.count(low, high) == len(inside)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["x", "y"]), st.just(("p", "q", "p")))
ROWS = st.dictionaries(st.sampled_from(["k", "other"]), VALUES)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.none() | ROWS), max_size=30), st.integers(1, 9))
def test_an_index_follows_its_rows(writes: list[tuple[str, dict[str, object] | None]], often: int) -> None:
    """An index that follows puts and deletes now and then equals one built from the rows."""
    rows: dict[str, object] = {}
    moves: list[object] = []
    index = Index("k")
    for number, (id_, indexes) in enumerate(writes, 1):
        new = None if indexes is None else (number, b"{}", tuple(indexes), tuple(indexes.values()), 0)
        if new is not None or id_ in rows:
            moves.append((id_, rows.get(id_), new))
        if new is None:
            rows.pop(id_, None)
        else:
            rows[id_] = new
        if number % often == 0:
            index.follow(moves)  # type: ignore[arg-type]
    index.follow(moves)  # type: ignore[arg-type]
    built = Index("k")
    built.build(rows)  # type: ignore[arg-type]
    assert list(index.sorted_slots.up(None)) == list(built.sorted_slots.up(None))
    values = [row[3][row[2].index("k")] if "k" in row[2] else None for row in rows.values()]  # type: ignore[index]
    assert len(list(built.sorted_slots.up(None))) == sum(len(list(slots(value, "i"))) for value in values)

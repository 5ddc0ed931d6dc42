from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crm_core.web.pages.records.merging import Merge

BASE = {"phone": "1", "owner": "a", "tags": "x", "notes": ""}


def test_merging_keeps_what_only_one_side_changed() -> None:
    """One-sided changes are merged, two-sided ones need a decision, and equal ones are no change."""
    mine, theirs = {**BASE, "phone": "2", "notes": "mine"}, {**BASE, "phone": "3", "tags": "x, y"}
    merge = Merge(base=BASE, mine=mine, theirs=theirs, picks={})
    sides = {one.name: one.side for one in merge.differences()}
    assert sides == {"phone": "both", "notes": "mine", "tags": "theirs"}
    assert merge.undecided == ["phone"]
    assert msgspec.structs.replace(merge, picks={"phone": "mine"}).undecided == []
    assert merge.values == {"phone": "2", "owner": "a", "tags": "x, y", "notes": "mine"}


forms = st.fixed_dictionaries(dict.fromkeys(BASE, st.sampled_from("abc")))


@given(forms, forms)
def test_no_change_is_lost_in_merging(mine: dict[str, str], theirs: dict[str, str]) -> None:
    """A field that one side changed gets that side's value; one that both changed always needs a decision."""
    base = dict.fromkeys(BASE, "a")
    merge = Merge(base=base, mine=mine, theirs=theirs, picks={})
    for name, value in merge.values.items():
        if name not in merge.undecided:
            assert value == (theirs[name] if mine[name] == base[name] else mine[name])

"""The valid rest of an invalid part, and the pointers of its findings into the part as sent."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from crm_core.errors import Finding
from crm_core.model.fields import convert
from crm_core.sync.salvage import Salvaged, salvage


class Link(msgspec.Struct, forbid_unknown_fields=True):
    url: Annotated[str, msgspec.Meta(max_length=9)]
    label: str | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


class Part(msgspec.Struct, forbid_unknown_fields=True):
    links: list[Link] | UnsetType = UNSET
    by_name: dict[str, Link] | UnsetType = UNSET
    title: str | UnsetType = UNSET


def salvaged(part: Any) -> Salvaged | None:
    typed, findings = convert(part, Part)
    assert typed is None
    return salvage(part, Part, findings)


def test_a_wrong_member_leaves_the_others() -> None:
    """Only that member is removed."""
    found = salvaged({"title": 5, "links": [{"url": "u"}], "nonsense": 1})
    assert found is not None
    assert found.typed == Part(links=[Link(url="u")])


def test_an_object_without_what_it_needs_goes_as_a_whole() -> None:
    """An object is also removed if its removed member was required; pointers still lead into the part as sent."""
    found = salvaged({"links": [{"label": "a"}, {"url": "1"}, {"url": 2}, {"url": "3"}]})
    assert found is not None
    assert found.typed == Part(links=[Link(url="1"), Link(url="3")])
    pointers = [found.as_sent(Finding(f"/links/{n}/url", "c", "m")).pointer for n in (0, 1)]
    assert pointers == ["/links/1/url", "/links/3/url"]


def test_only_lists_that_lost_items_have_positions() -> None:
    """A place beyond the end of such a list is left as it is; one inside a moved item is found too."""
    found = salvaged({"links": [{"label": "a"}, {"url": "1"}], "by_name": {"c": {"url": "u"}}, "title": 5})
    assert found is not None
    assert found.positions == {("links",): [1]}
    assert found.as_sent(Finding("/links/1", "c", "m")).pointer == "/links/1"
    inner = salvaged({"links": [{"label": "a"}, {"url": "1", "tags": [5, "b"]}]})
    assert inner is not None
    assert inner.positions == {("links",): [1], ("links", "0", "tags"): [1]}
    assert inner.as_sent(Finding("/links/0/tags/0", "c", "m")).pointer == "/links/1/tags/1"
    whole = salvaged({"links": [{"url": "1"}], "title": 5})
    assert whole is not None
    assert whole.positions == {}


def test_nothing_remains_of_a_part_that_is_not_an_object() -> None:
    """A list and a text have no valid rest."""
    assert salvaged([1]) is None
    assert salvaged("x") is None


links = st.fixed_dictionaries(
    {}, optional={"url": st.sampled_from(["ok", 5, "far too long"]), "label": st.sampled_from(["l", None])}
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "links": st.lists(links | st.just(7), max_size=5),
            "by_name": st.dictionaries(st.sampled_from(["a/b", "c"]), links, max_size=2),
            "title": st.sampled_from(["t", 5]),
            "more": st.just(1),
        },
    )
)
def test_every_url_that_remains_is_found_in_the_part_as_sent(part: Any) -> None:
    """A finding on the rest leads to the same value in the part as sent."""
    typed, findings = convert(part, Part)
    if typed is not None:
        return
    found = salvage(part, Part, findings)
    assert found is not None
    for at, link in enumerate(found.typed.links or ()):
        _, name, position, member = found.as_sent(Finding(f"/links/{at}/url", "c", "m")).pointer.split("/")
        assert part[name][int(position)][member] == link.url

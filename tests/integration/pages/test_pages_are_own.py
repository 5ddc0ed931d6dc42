from __future__ import annotations

import re

from contract.box import Box
from visitor import EVERYTHING, Visitor


def tokens(page: str) -> set[str]:
    """The CSRF tokens of a page's forms."""
    return set(re.findall(r'name="csrf" value="([^"]*)"', page))


def test_a_cached_page_has_the_token_of_who_reads_it(grace: Visitor, alan: Visitor) -> None:
    """Two users read the same list in turns: each finds one token, their own, which is of no use to the other."""
    found = [(tokens(grace.get("/customers")), tokens(alan.get("/customers"))) for _ in range(2)]
    (hers,), (his,) = found[-1]
    assert found == [({hers}, {his})] * 2
    assert hers != his
    fields = {"name": "Mixed Up", "csrf": hers}
    assert alan.send("/customers/new", fields).status_code == 403
    assert "Mixed Up" not in alan.get("/customers")


def test_each_sees_their_own_name_and_confirmation(grace: Visitor, alan: Visitor) -> None:
    """The frame of a page names its user, and a toast appears once, for the one who did something."""
    alan.get("/customers")
    said = grace.post("/customers/new", "/customers/new", name="Own Toast")
    assert "data-toast" in said
    for visitor, own, other in ((alan, "Alan", "Grace"), (grace, "Grace", "Alan")):
        page = visitor.get("/customers")
        assert "data-toast" not in page
        named = page.split('class="me"')[1].split("</div>")[0]
        assert f">{own} " in named
        assert f">{other} " not in named


def test_the_next_page_shows_what_another_changed(box: Box, grace: Visitor, alan: Visitor) -> None:
    """A new record, its count in the menu, a push and a plan with fewer features show in the very next page."""

    def counted(page: str) -> int:
        return int(re.findall(r'Customers</span><span class="count">(\d+)', page)[0])

    before = counted(alan.get("/customers"))
    grace.customer(name="Fresh Row")
    after = alan.get("/customers")
    assert counted(after) == before + 1
    assert "Fresh Row" in after
    box.applied("branding", {"title": "Other Engines"})
    assert "Other Engines</title>" in alan.get("/customers")
    assert "/customers/new" in after
    try:
        box.applied("features", {"plan": {"code": "b", "name": "B", "features": ["customers.view"]}})
        assert "/customers/new" not in alan.get("/customers")
        alan.get("/tasks", 403)
    finally:
        box.applied("features", EVERYTHING)
    assert "/customers/new" in alan.get("/customers")
    alan.get("/tasks")


def test_each_reads_the_rows_of_a_list_in_their_own_language(grace: Visitor, alan: Visitor) -> None:
    """Rows that one reader has just seen in English are in German for another."""
    grace.customer(name="Two Languages", status="active")
    assert ">Active<" in grace.get("/customers")
    alan.client.headers["Accept-Language"] = "de"
    try:
        page = alan.get("/customers")
    finally:
        del alan.client.headers["Accept-Language"]
    assert '<html lang="de"' in page
    assert ">Active<" not in page


def test_the_author_of_a_change_is_you_for_one_user_only(grace: Visitor, alan: Visitor) -> None:
    """The same row of a list says You to who created the record, and their name to another."""
    grace.customer(name="Whose Row")

    def author(visitor: Visitor) -> str:
        page = visitor.get("/customers?columns=created_by&q=whose")
        return re.findall(r'<td class="p3">([^<]+)</td>', page)[0]

    assert [author(visitor) for visitor in (grace, alan, grace, alan)] == ["You", "Grace Hopper"] * 2


def test_an_address_of_one_user_leads_no_other_astray(grace: Visitor, alan: Visitor) -> None:
    """The links to a list's other parts are those of its reader's address, whichever one was opened before."""
    for number in range(26):
        grace.customer(name=f"Astray {number}")
    assert "cursor=" in grace.get("/customers?q=astray&trail=elsewhere")
    page = alan.get("/customers?q=astray")
    assert "cursor=" in page
    assert "elsewhere" not in page

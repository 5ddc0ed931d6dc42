from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from contract.box import TENANT, Box
from visitor import PASSWORD, Visitor

BANNER = "may be the same customer."


@pytest.fixture(scope="module")
def vera(box: Box) -> Iterator[Visitor]:
    """A viewer, whom no later module sees."""
    box.crm(
        "user", "create", "--tenant", TENANT, "--email", "viewer@engines.example", "--name", "Vera Rubin",
        "--role", "viewer", "--password-stdin", stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    visitor = Visitor(box, "viewer")
    yield visitor
    visitor.client.close()
    box.crm("user", "disable", visitor.email, "--tenant", TENANT)


def doubled(visitor: Visitor, first: dict[str, str], second: dict[str, str]) -> tuple[str, str]:
    """The paths of two customers of whom the second is saved anyway."""
    return visitor.customer(**first), visitor.customer(**second, **{"form:anyway": "true"})


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def test_both_records_say_that_they_may_be_the_same(grace: Visitor) -> None:
    """The same email, or the same name and phone however it is dialled, is a banner on both; a name alone is none."""
    pairs = (
        ({"name": "Emmy Noether", "email": "emmy@rings.example"}, {"name": "E. N.", "email": "EMMY@rings.example"}),
        ({"name": "Maria Mayer", "phone": "+49 (0) 551 1963"}, {"name": "maria MAYER", "phone": "0551-1963"}),
    )
    for fields, same in zip(pairs, ("email address", "name and telephone number"), strict=True):
        one, other = doubled(grace, *fields)
        for path, its, double in ((one, other, fields[1]), (other, one, fields[0])):
            page = grace.get(path)
            assert f"{double['name']} {BANNER}</strong> Both have the same {same}." in page
            assert f'href="{grace.root}{path}/compare/{id_of(its)}">Compare</a>' in page
            assert "Not a duplicate" in page
    namesake = grace.customer(name="Maria Mayer", phone="+1 858 1963")
    assert BANNER not in grace.get(namesake)
    assert BANNER not in grace.get(grace.customer(name="Maria Mayer"))


def test_compare_shows_both_side_by_side(grace: Visitor) -> None:
    """Each member that one of them has is a row; those that differ are marked and counted; both names are links."""
    one, other = doubled(
        grace,
        {"name": "Rosalind Franklin", "email": "rosalind@helix.example", "company": "King's"},
        {"name": "R. Franklin", "email": "rosalind@helix.example", "phone": "+44 20 1951"},
    )
    page = grace.get(f"{one}/compare/{id_of(other)}")
    main = page.split("<main")[1]
    assert "3 fields differ." in main
    marked = re.findall(r'<th scope="row">(\w+) <span class="badge warn">', main)
    assert marked == ["Name", "Phone", "Company"]
    assert re.search(r'<th scope="row">Email</th><td>.*?rosalind@.*?</td><td>.*?rosalind@', main)
    assert '<th scope="row">Notes' not in main
    for path, name in ((one, "Rosalind Franklin"), (other, "R. Franklin")):
        assert re.search(rf'<th scope="col"><div class="row"><a href="{grace.root}{path}"[^>]*>{name}</a>', main)


def test_not_a_duplicate_is_remembered_for_everyone(grace: Visitor, alan: Visitor) -> None:
    """One click on either record ends the banner on both for all users, changes neither, and may be repeated."""
    email = {"email": "info@curie.example"}
    one, other = doubled(grace, {"name": "Marie Curie", **email}, {"name": "Irene Curie", **email})
    third = grace.customer(name="Eve Curie", **email, **{"form:anyway": "true"})
    page = grace.post(other, f"{other}/distinct", other=id_of(one))
    assert "Remembered: Marie Curie is not a duplicate" in page.split('<div class="toasts"')[1]
    assert f"Eve Curie {BANNER}" in page  # the next one
    grace.post(f"{one}/compare/{id_of(other)}", f"{one}/distinct", other=id_of(other))
    grace.post(third, f"{third}/distinct", other=id_of(one))
    assert BANNER not in alan.get(one)
    assert f"Eve Curie {BANNER}" in alan.get(other)
    grace.post(other, f"{other}/distinct", other=id_of(third))
    assert BANNER not in alan.get(third)
    assert 'data-revision="1"' in alan.get(one)


def test_not_a_duplicate_is_taken_back(grace: Visitor, alan: Visitor) -> None:
    """Both pages name the other record, whose comparison takes it back for everyone; so does the Undo of the toast."""
    email = {"email": "info@joliot.example"}
    one, other = doubled(grace, {"name": "Irene Joliot", **email}, {"name": "Frederic Joliot", **email})
    assert "Not a duplicate of" not in grace.get(one)
    compare = f"{one}/compare/{id_of(other)}"
    page = grace.post(compare, f"{one}/distinct", other=id_of(other))
    toast = page.split('<div class="toasts"')[1]
    assert f'action="{grace.root}{one}/distinct/remove"' in toast
    assert f'name="value" value="{id_of(other)}"' in toast
    assert f'href="{grace.root}{compare}" dir="auto">Frederic Joliot</a>' in page.split("Not a duplicate of")[1]
    assert "Irene Joliot</a>" in alan.get(other).split("Not a duplicate of")[1]
    page = alan.get(f"{other}/compare/{id_of(one)}").split("<main")[1]
    assert "Remembered: they are not duplicates." in page
    assert "May be a duplicate</button>" in page
    page = alan.post(f"{other}/compare/{id_of(one)}", f"{other}/distinct/remove", other=id_of(one))
    assert "Irene Joliot may be a duplicate again" in page.split('<div class="toasts"')[1]
    for path in (one, other):
        page = grace.get(path)
        assert BANNER in page
        assert "Not a duplicate of" not in page
    grace.post(one, f"{one}/distinct", other=id_of(other))
    grace.post(one, f"{one}/distinct/remove", value=id_of(other))
    assert BANNER in grace.get(one)


def test_a_viewer_sees_and_compares_but_does_not_decide(grace: Visitor, vera: Visitor) -> None:
    """The banner and the comparison have no button without the right to update, and the address refuses."""
    email = {"email": "chien@parity.example"}
    one, other = doubled(grace, {"name": "Chien-Shiung Wu", **email}, {"name": "C. S. Wu", **email})
    for path in (one, f"{one}/compare/{id_of(other)}"):
        page = vera.get(path).split("<main")[1]
        assert "C. S. Wu" in page
        assert "Not a duplicate" not in page
    vera.post("/customers", f"{one}/distinct", 403, other=id_of(other))
    assert BANNER in grace.get(one)
    assert grace.send(f"{one}/distinct", {"csrf": "old", "other": id_of(other)}).status_code == 403
    assert BANNER in grace.get(one)
    grace.post(one, f"{one}/distinct", other=id_of(other))
    assert "C. S. Wu" in vera.get(one).split("Not a duplicate of")[1]
    assert "May be a duplicate</button>" not in vera.get(f"{one}/compare/{id_of(other)}")
    vera.post("/customers", f"{one}/distinct/remove", 403, other=id_of(other))
    assert BANNER not in grace.get(one)


def test_archived_and_erased_records_are_no_doubles(grace: Visitor, ida: Visitor) -> None:
    """Only live records have the banner; nothing can be compared with, or set apart from, one that is not live."""
    email = {"email": "lise@fission.example"}
    one, other = doubled(ida, {"name": "Lise Meitner", **email}, {"name": "L. Meitner", **email})
    compare = f"{one}/compare/{id_of(other)}"
    ida.post(other, f"{other}/archive", revision="1")
    for path in (one, other):
        assert BANNER not in grace.get(path)
    grace.get(compare, 409)
    grace.post("/customers", f"{one}/distinct", 409, other=id_of(other))
    ida.post(other, f"{other}/restore")
    assert BANNER in grace.get(one)
    third = ida.customer(name="Otto Hahn", **email, **{"form:anyway": "true"})
    ida.post(other, f"{other}/distinct", other=id_of(third))
    ida.post(f"{other}/erase", f"{other}/erase", **{"form:name": "L. Meitner", "revision": "3"})
    assert f"Otto Hahn {BANNER}" in grace.get(one)
    assert f"Lise Meitner {BANNER}" in grace.get(third)
    assert "This record does not exist, or it has been erased." in grace.get(compare, 404)
    grace.post("/customers", f"{one}/distinct", 404, other=id_of(other))
    for wrong in (f"{one}/compare/{id_of(one)}", f"/tasks/{id_of(one)}/compare/{id_of(other)}", f"{one}/compare/x"):
        grace.get(wrong, 404)
    grace.post("/customers", f"{one}/distinct", 404, other=id_of(one))

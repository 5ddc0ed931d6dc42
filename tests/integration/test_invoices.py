"""docs/examples/invoices.py in a running instance: everything that a record type may declare, by API and by form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from contract.box import Box, pointers, problem
from doc_pages import ROOT
from visitor import Visitor, with_users

PLAN = {"code": "a", "name": "A", "features": ["customers.*", "invoices.*"]}
LINES = [{"text": "Rowing boat", "quantity": 2, "price": "450.00"}, {"text": "Oar", "quantity": 1, "price": "19.90"}]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("invoices")
    (folder / "plugins").mkdir()
    (folder / "plugins/invoices.py").write_text((ROOT / "docs/examples/invoices.py").read_text())
    settings = {"plugins": {"folders": [str(folder / "plugins")]}}
    made = Box(folder / "home", settings=settings).create_tenants().start()
    try:
        with_users(made).applied("features", {"plan": PLAN})
        yield made
    finally:
        assert made.stop() == 0


@pytest.fixture(scope="module")
def grace(box: Box) -> Iterator[Visitor]:
    visitor = Visitor(box, "manager")
    yield visitor
    visitor.client.close()


class Api:
    """The invoices of the tenant."""

    def __init__(self, box: Box) -> None:
        scopes = ("invoices:read", "invoices:write", "invoices:delete")
        self.url, self._headers, self._client = f"{box.base()}/invoices", box.bearer(*scopes), box.client

    def __call__(self, method: str, path: str = "", data: Any = None, **query: str) -> httpx.Response:
        return self._client.request(method, self.url + path, json=data, params=query, headers=self._headers)

    def made(self, **members: Any) -> dict[str, Any]:
        answer = self("POST", "", members)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


@pytest.fixture
def api(box: Box) -> Api:
    return Api(box)


def fields_of(page: str, name: str) -> list[str]:
    """The values of the fields of a page whose name ends so, without those of the script's template."""
    shown = re.sub(r"<template>.*?</template>", "", page, flags=re.DOTALL)
    found = re.findall(rf'<input[^>]* name="[^"]*{re.escape(name)}"[^>]* value="([^"]*)"', shown)
    return [unescape(value) for value in found]


def test_computed_members_follow_from_the_others_and_are_never_sent(api: Api) -> None:
    """The total comes with the answer and changes with the lines; sending it is refused at its place."""
    made = api.made(number="A-1", lines=LINES, currency="EUR")
    assert (made["name"], made["total"], made["lines"]) == ("Invoice A-1", "919.90", LINES)
    changed = api("PATCH", f"/{made['id']}", {"lines": LINES[:1]}).json()
    assert changed["total"] == "900.00"
    refused = api("PATCH", f"/{made['id']}", {"total": "1", "lines": []})
    assert pointers(problem(refused, 422, "invalid_record")) == {"/total"}
    (newest, _) = api("GET", f"/{made['id']}/history").json()["items"]
    assert {change["pointer"] for change in newest["changes"]} == {"/lines", "/total"}


def test_every_error_in_a_row_has_its_pointer(api: Api) -> None:
    """A wrong type, a missing and an unknown member of rows are reported together; defaults fill what is left out."""
    rows = [{"text": "Boat", "price": 5}, {"quantity": 0}, {"text": "Oar", "colour": "red"}, "row"]
    found = pointers(problem(api("POST", "", {"number": "A-2", "lines": rows}), 422, "invalid_record"))
    assert found == {"/lines/0/price", "/lines/1/quantity", "/lines/1/text", "/lines/2/colour", "/lines/3"}
    made = api.made(number="A-3", lines=[{"text": " Boat "}])
    assert made["lines"] == [{"text": "Boat", "quantity": 1, "price": "0"}]


def test_a_number_is_used_once(api: Api) -> None:
    """By creating, changing, batch and restoring; an archived invoice counts too."""
    first, second = api.made(number="B-1"), api.made(number="B-2")
    problem(api("POST", "", {"number": "B-1"}), 409, "not_unique")
    assert api("DELETE", f"/{first['id']}").status_code == 204
    refused = problem(api("PATCH", f"/{second['id']}", {"number": "B-1"}), 409, "not_unique")
    assert pointers(refused) == {"/number"}
    results = api("POST", "/batch", {"items": [{"number": "B-1"}, {"number": "B-3"}]}).json()["results"]
    assert [result["status"] for result in results] == [409, 201]
    assert api("POST", f"/{first['id']}/restore").status_code == 200


def test_paid_stays_paid(api: Api) -> None:
    """What `check` compares with the stored record is refused there, while other members may change."""
    made = api.made(number="C-1", lines=LINES, state="paid")
    refused = api("PATCH", f"/{made['id']}", {"state": "sent", "lines": LINES[:1]})
    assert pointers(problem(refused, 422, "invalid_record")) == {"/state", "/lines"}
    assert api("PATCH", f"/{made['id']}", {"due_on": "2026-12-24"}).status_code == 200


def test_lists_compare_and_exports_contain_the_rows(api: Api) -> None:
    """Amounts are compared as numbers; in CSV the rows are one cell of JSON."""
    for number, price in (("D-1", "99.90"), ("D-2", "100.00"), ("D-3", "1000.00")):
        api.made(number=number, lines=[{"text": "Sail", "price": price}])
    compared = {"q": "D", "total.gte": "100", "total.lt": "1000.0", "sort": "total"}
    assert [one["number"] for one in api("GET", **compared).json()["items"]] == ["D-2"]
    exported = api._client.get(api.url, params=compared, headers={**api._headers, "Accept": "text/csv"}).text
    assert '"[{""text"":""Sail"",""quantity"":1,""price"":""100.00""}]"' in exported


def test_a_form_edits_rows_without_a_script(grace: Visitor, api: Api) -> None:
    """Buttons add and remove rows and save nothing; what is typed stays, and blank rows at the end are left out."""
    page = grace.get("/invoices/new")
    assert 'name="total"' not in page
    assert len(fields_of(page, ".text")) == 1
    row = {"number": "E-1", "lines": "0", "lines.0.text": "Boat", "lines.0.quantity": "2", "lines.0.price": "1.200,50"}
    page = grace.post("/invoices/new", "/invoices/new", **row, **{"form:add": "lines"})
    assert fields_of(page, ".text") == ["Boat", ""]
    rows = {**row, "lines.1.text": "Oar", "lines.1.quantity": "1", "lines.1.price": "20"}
    several = [("lines", "0"), ("lines", "1"), ("lines", "2")]
    page = grace.post("/invoices/new", "/invoices/new", several=several, **rows, **{"form:remove": "lines.0"})
    assert fields_of(page, ".text") == ["Oar", ""]
    page = grace.post("/invoices/new", "/invoices/new", several=several, **rows, **{"lines.2.quantity": "1"})
    id_ = re.findall(r'data-id="([0-9a-f-]{36})"', page)[0]
    stored = api("GET", f"/{id_}").json()
    assert (stored["total"], [line["text"] for line in stored["lines"]]) == ("2421.00", ["Boat", "Oar"])
    assert "<td>Boat</td>" in page
    assert '<th scope="col" class="r">Unit price</th>' in page
    assert "2,421" in page


def test_a_row_that_is_refused_shows_its_own_error(grace: Visitor, api: Api) -> None:
    """The sentence is at the field of the row, and an ambiguous amount asks there."""
    made = api.made(number="F-1", lines=[{"text": "Sail", "price": "1.5000"}, {"text": "Mast", "price": "2"}])
    path = f"/invoices/{made['id']}"
    page = grace.get(f"{path}/edit")
    form = {"revision": "1", "number": "F-1", "state": "draft", "form:base": _base(page), "currency": "EUR"}
    rows = {f"lines.{at}.{name}": fields_of(page, f"lines.{at}.{name}")[0] for at in "01" for name in ("text", "price")}
    rows |= {"lines.0.quantity": "1", "lines.1.quantity": "many", "lines.1.price": "12,500"}
    several = [("lines", "0"), ("lines", "1")]
    page = grace.post(f"{path}/edit", f"{path}/edit", 422, several=several, **form, **rows)
    assert re.search(r'id="f-lines-1-price-e".*?can be read in two ways', page)
    rows |= {"form:reading:lines.1.price": "12500"}
    page = grace.post(f"{path}/edit", f"{path}/edit", 422, several=several, **form, **rows)
    assert re.search(r'id="f-lines-1-quantity-e".*?Enter a whole number such as 12', page)
    grace.post(f"{path}/edit", f"{path}/edit", several=several, **form, **rows | {"lines.1.quantity": "3"})
    stored = api("GET", f"/{made['id']}").json()["lines"]
    assert [line["price"] for line in stored] == ["1.5000", "12500"], "a price that was not touched keeps its digits"
    assert stored[1]["quantity"] == 3


def _base(page: str) -> str:
    return unescape(re.findall(r'name="form:base" value="([^"]*)"', page)[0])


def test_two_people_who_change_the_rows_choose_a_version(grace: Visitor, api: Api) -> None:
    """The rows count as one field: both versions are shown, and the chosen one is saved."""
    made = api.made(number="G-1", lines=[{"text": "Sail", "price": "10"}])
    path = f"/invoices/{made['id']}"
    form = {"revision": "1", "number": "G-1", "state": "draft", "form:base": _base(grace.get(f"{path}/edit"))}
    assert api("PATCH", f"/{made['id']}", {"lines": [{"text": "Sail", "price": "30"}]}).status_code == 200
    row = {"lines": "0", "lines.0.text": "Sail", "lines.0.quantity": "1", "lines.0.price": "20"}
    page = grace.post(f"{path}/edit", f"{path}/edit", 409, **form, **row)
    assert "Sail, 1, 20" in page
    assert "Sail, 1, 30" in page
    decide = {"form:decide": "lines", "form:was": form["form:base"], "form:pick:lines": "mine", "revision": "2"}
    grace.post(f"{path}/edit", f"{path}/edit", **form | row | decide | {"form:base": _base(page)})
    assert api("GET", f"/{made['id']}").json()["total"] == "20"


def test_an_import_reads_numbers_and_leaves_rows_and_computed_members_out(grace: Visitor, api: Api) -> None:
    """Columns can be the members that are entered; a number that exists refuses its row."""
    api.made(number="H-1")
    page = grace.upload("/invoices/import", "number;state\nH-1;draft\nH-2;draft\n").text
    offered = set(re.findall(r'<option value="([a-z_]+)"', page))
    assert {"number", "state", "currency"} <= offered
    assert offered.isdisjoint({"lines", "total", "name"})
    fields: dict[str, str | list[str]] = {"field": ["number", "state"], "key": ""}
    fields["csv"] = unescape(re.findall(r'<textarea name="csv" hidden>\n(.*?)</textarea>', page, re.DOTALL)[0])
    assert "1 invoice created, 0 updated, 1 refused." in grace.upload("/invoices/import/run", "", fields).text


def test_a_form_with_thousands_of_rows_is_answered_with_few(grace: Visitor) -> None:
    """Repeats count once; of too many rows one error says how many there can be, and the page shows no more."""
    row = {"number": "F-1", "lines.0.text": "Boat", "form:find": ""}
    page = grace.post("/invoices/new", "/invoices/new", several=[("lines", "0")] * 20_000, **row)
    assert fields_of(page, ".text") == ["Boat"]
    several = [("lines", str(at)) for at in range(20_000)]
    page = grace.post("/invoices/new", "/invoices/new", 422, several=several, number="F-1", **{"lines.150.text": "Oar"})
    assert page.count("There can be at most 100 rows. Remove some.") == 1
    assert len(fields_of(page, ".text")) == 101

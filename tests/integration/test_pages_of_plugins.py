from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from contract.box import TENANT, Box, roster_key
from plain_http import PLAIN

VISITS = '''
"""Visits to customers, as a lone plugin."""
from typing import Literal
import msgspec
from crm_core.model.record_members import Amount, Currency, Day, EmailAddress, Line, Notes, RecordId
from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import Due, RecordType, Reference


class Visit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    customer_id: RecordId | None = None
    agreed: Day | None = None
    day: Day | None = None
    state: Literal["planned", "done", "called_off"] = "planned"
    mood: Literal["good", "bad"] | None = None
    fee: Amount | None = None
    currency: Currency | None = None
    owner: EmailAddress | None = None
    code: Line | None = None
    done: bool = False
    notes: Notes | None = None
    base: Line | None = None
    was: Line | None = None
    decide: Line | None = None


class Visits(RecordType):
    NAME = "visits"
    TITLE = "Visits"
    SINGULAR = "Visit"
    RECORD = Visit
    SORTABLE = ("name", "day")
    FILTERABLE = ("customer_id", "state", "owner", "done", "code")
    UNIQUE = ("code",)
    SEARCHED = ("name",)
    REFERENCES = (Reference("customer_id", "customers"),)
    COLUMNS = ("name", "customer_id", "day", "state")
    LANES = "state"
    OWNER = "owner"
    DUE = Due("day", done="done")


class Call(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    visit_id: RecordId | None = None


class Calls(RecordType):
    NAME = "calls"
    TITLE = "Phone calls"
    SINGULAR = "Call"
    RECORD = Call
    FILTERABLE = ("visit_id",)
    REFERENCES = (Reference("visit_id", "visits"),)
    MODULE = "visits"


@hookimpl
def crm_register_record_types():
    return [Visits(), Calls()]
'''
EMAIL, PASSWORD = "jana@nordwind.example", "seven sailing boats"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "visits.py").write_text(VISITS)
    settings = {"plugins": {"folders": [str(folder)]}}
    made = Box(tmp_path / "home", tenants={TENANT: {"keys": [roster_key()]}}, settings=settings)
    made.create_tenants().start()
    try:
        yield made
    finally:
        assert made.stop() == 0


class Visitor:
    """A signed-in browser without a browser."""

    def __init__(self, box: Box) -> None:
        self.origin = str(box.client.base_url).rstrip("/")
        self.root = f"/i/eu1/t/{TENANT}"
        self.client = httpx.Client(base_url=self.origin, follow_redirects=True, verify=PLAIN)

    def get(self, path: str) -> str:
        answer = self.client.get(self.root + path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def post(self, form: str, action: str, status: int = 200, **fields: str) -> str:
        """Send a form of a page; what the page that follows says."""
        token = re.findall(r'name="csrf" value="([^"]+)"', self.get(form))
        sent = {"csrf": token[-1], **fields}
        answer = self.client.post(self.root + action, data=sent, headers={"Origin": self.origin})
        assert answer.status_code == status, (action, answer.status_code, answer.text[-800:])
        return answer.text

    def visit(self, **fields: str) -> str:
        """The id of a new visit."""
        page = self.post("/visits/new", "/visits/new", name="Look at boats", state="planned", **fields)
        return re.findall(r"/visits/([0-9a-f-]{36})", page)[0]


@pytest.fixture
def desk(box: Box) -> Iterator[Visitor]:
    words = ("user", "create", "--tenant", TENANT, "--email", EMAIL, "--role", "super_admin", "--password-stdin")
    box.crm(*words, stdin=PASSWORD + "\n")
    box.applied("features", {"plan": {"code": "a", "name": "A", "features": ["customers.*", "visits.*"]}})
    visitor = Visitor(box)
    with visitor.client:
        visitor.post("/login", "/login", email=EMAIL, password=PASSWORD, next="")
        yield visitor


def test_a_plugins_record_type_has_pages_without_writing_any(desk: Visitor) -> None:
    """List, board, form, detail, dashboard, menu, search and what it refers to: all follow from its description."""
    assert f'href="{desk.root}/visits"' in desk.get("/")
    customer = re.findall(r"/customers/([0-9a-f-]{36})", desk.post("/customers/new", "/customers/new", name="Ada"))[0]
    form = desk.get("/visits/new")
    for field in ("name", "customer_id", "day", "state", "fee", "notes"):
        assert f'name="{field}"' in form
    assert len(re.findall(" data-read[ >]", form)) == 3
    fields = {
        "name": "Look at boats",
        "customer_id": customer,
        "day": "2099-12-01",
        "state": "planned",
        "agreed": "2026-11-02",
    }
    page = desk.post("/visits/new", "/visits/new", **fields, owner=EMAIL, fee="80.00", currency="EUR")
    assert "Look at boats" in page
    assert "€80" in page
    assert f'href="{desk.root}/customers/{customer}"' in page
    board = desk.get("/visits")
    assert desk.client.get(f"{desk.root}/visits", follow_redirects=False).status_code == 200
    assert re.findall(r'data-lane="([a-z_]+)"', board) == ["planned", "done", "called_off"]
    assert re.search(rf'<a href="{desk.root}/visits/[0-9a-f-]{{36}}"[^>]*>Look at boats</a>', board)
    assert '<span class="when">Day 1 Dec 2099</span>' in board
    listed = desk.get("/visits?view=list&q=boats")
    assert ">Customer<" in listed
    assert "Ada" in listed
    assert "Look at boats" in desk.get(f"/customers/{customer}")
    dashboard = desk.get("/")
    assert "My visits" in dashboard
    assert "Visits by state" in dashboard


def test_a_type_of_another_types_module_has_pages_and_no_item_in_the_menu(box: Box, desk: Visitor) -> None:
    """Its own title heads its pages, pushed words only those of the module; the API guards it by that module."""
    visit = desk.visit()
    modules = {"visits": {"title": "Trips", "singular": "Trip"}}
    box.applied("features", {"plan": {"code": "a", "name": "A", "features": ["visits.*"]}, "modules": modules})
    assert "New trip" in desk.get("/visits?view=list")
    assert "Order the mast" in desk.post("/calls/new", "/calls/new", name="Order the mast", visit_id=visit)
    assert '<h1 dir="auto">Phone calls</h1>' in desk.get("/calls")
    page = desk.get(f"/visits/{visit}")
    assert "Phone calls" in page
    assert "Order the mast" in page
    assert f'href="{desk.root}/calls"' not in desk.get("/")
    calls, reader = f"{box.base()}/calls", box.bearer("calls:read")
    assert box.client.get(calls, headers=reader).json()["items"][0]["name"] == "Order the mast"
    assert box.client.get(calls, headers=box.bearer("visits:read")).json()["code"] == "insufficient_scope"
    box.applied("features", {"plan": {"code": "b", "name": "B", "features": ["customers.*"]}})
    refused = box.client.get(calls, headers=reader).json()
    assert (refused["code"], refused["module"]) == ("module_unavailable", "visits")


@pytest.mark.parametrize("amount", ["12,500", "12.500"])
def test_an_ambiguous_amount_is_asked_about_with_what_was_typed(desk: Visitor, amount: str) -> None:
    """Creating and editing: the form comes back with the sentence and every typed value, and nothing is saved."""
    sentence = "Fee can be read in two ways. Which do you mean?"
    page = desk.post("/visits/new", "/visits/new", 422, name="Row to Bornholm", state="planned", fee=amount)
    assert sentence in page
    assert 'value="Row to Bornholm"' in page
    assert f'value="{amount}"' in page
    assert "Row to Bornholm" not in desk.get("/visits?view=list")
    path = f"/visits/{desk.visit(fee='80.00', currency='EUR')}"
    form = {"revision": "1", "name": "Sail to Bornholm", "state": "planned", "fee": amount, "currency": "EUR"}
    page = desk.post(f"{path}/edit", f"{path}/edit", 422, **form)
    assert sentence in page
    assert 'value="Sail to Bornholm"' in page
    page = desk.get(path)
    assert "€80" in page
    assert "Sail to Bornholm" not in page
    desk.post(f"{path}/edit", f"{path}/edit", **form | {"form:reading:fee": "12500"})
    assert "€12,500" in desk.get(path)
    assert desk.get("/visits/reading?field=day&text=2026-12-04") == '{"text":"Friday, 4 December 2026"}'
    asked = '{"text":"€12,500.00 or €12.500, with three decimals?"}'
    assert desk.get(f"/visits/reading?field=fee&text={amount}&currency=eur") == asked


def test_an_optional_choice_is_blanked_and_the_page_says_so(desk: Visitor) -> None:
    """A choice that may be blank is set to nothing, and the user lands on the page with the message."""
    path = f"/visits/{desk.visit(mood='good')}"
    page = desk.post(path, f"{path}/set", member="mood", value="", revision="1", back=desk.root + path)
    assert "Look at boats: no mood" in page
    details = page.split('data-live="details"')[1].split("</section>")[0]
    assert "Good" not in details


@pytest.mark.parametrize(("member", "value"), [("mood", "angry"), ("state", ""), ("state", "sunk")])
def test_a_refused_choice_changes_nothing(desk: Visitor, member: str, value: str) -> None:
    """A value that the member does not have is answered 422, and the record stays at its revision."""
    path = f"/visits/{desk.visit(mood='good')}"
    refused = desk.post(path, f"{path}/set", 422, member=member, value=value, revision="1", back=desk.root + path)
    assert f"Unknown {member}" in refused
    assert 'name="revision" value="1"' in desk.get(f"{path}/edit")


def test_members_may_have_the_names_of_the_forms_own_fields(desk: Visitor) -> None:
    """The typed values are saved without the form's own fields; a conflict is shown and decided as any."""
    path = f"/visits/{desk.visit(base='Kiel', was='Husum', decide='Sylt')}"
    hidden = re.compile(r'type="hidden" name="(form:[a-z]+|revision)" value="([^"]*)"')
    fields = {name: unescape(text) for name, text in hidden.findall(desk.get(f"{path}/edit"))}
    fields |= {"name": "Look at boats", "state": "planned"}
    mine = {"base": "Bremen", "was": "Husum", "decide": "Sylt"}
    page = desk.post(f"{path}/edit", f"{path}/edit", **fields, **mine)
    assert "Bremen" in page
    disputed = desk.post(f"{path}/edit", f"{path}/edit", 409, **fields, **{**mine, "base": "Lübeck"})
    assert 'name="form:pick:base" value="mine"' in disputed
    fields |= {name: unescape(text) for name, text in hidden.findall(disputed)}
    page = desk.post(
        f"{path}/edit", f"{path}/edit", **fields, **{**mine, "base": "Lübeck"}, **{"form:pick:base": "mine"}
    )
    assert "Lübeck" in page


def test_records_of_one_owner_are_no_duplicates(desk: Visitor) -> None:
    """The owner's address says nothing about the record: no banner, no question before a save, no key of an import."""
    desk.visit(owner=EMAIL)
    assert "may be the same" not in desk.get(f"/visits/{desk.visit(owner=EMAIL)}")


def test_an_import_recognises_records_by_a_unique_text(desk: Visitor) -> None:
    """Every row has one, as not all have an external id: the row with the code of a record changes that record."""
    path = f"/visits/{desk.visit(code='V-7')}"
    sent = {"csv": "External ID,Name,Code,Owner\n,Seen,v-7,\next-8,More,V-8,\n"}
    page = desk.post("/visits/import", "/visits/import", **sent)
    assert re.findall(r'<option value="([^"]*)"', page.split('name="key"')[1].split("</select>")[0]) == [
        "external_id", "code", "",
    ]  # fmt: skip
    assert "1 visit would be created, 1 updated" in page
    desk.post("/visits/import", "/visits/import/run", **sent)
    assert "Seen" in desk.get(path)

from __future__ import annotations

import csv
import html
import json
import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from contract.box import TENANT, Box
from visitor import EVERYTHING, Visitor

PEOPLE = """\
NAME;e mail;Address: City;Status;Owner;Shoe size
Imported One;one@import.example;Hamburg;Active;Alan Turing;42
Imported Two;not an address;Kiel;;;43
Known Person;known@import.example;;inactive;;
;nameless@import.example;;;;
"""


def chosen(page: str) -> list[str]:
    """The field of each column."""
    selects = re.findall(r'<select class="in" name="field".*?</select>', page, re.DOTALL)
    return [str((re.findall(r'value="([^"]*)" selected', select) or ["?"])[0]) for select in selects]


def test_an_import_is_previewed_then_done(grace: Visitor) -> None:
    """Columns find their fields by label, each row says what it would do, and the refused rows come back as a file."""
    known = grace.customer(name="Known", email="known@import.example", phone="123")
    preview = grace.upload("/customers/import", PEOPLE)
    assert preview.status_code == 200
    page = preview.text
    assert chosen(page) == ["name", "email", "address.city", "status", "owner", ""]
    fields: dict[str, str | list[str]] = {"field": ["name", "email", "address.city", "status", "owner", ""]}
    fields["key"] = "email"
    page = grace.upload("/customers/import", PEOPLE, fields).text
    assert "1 customer would be created, 1 updated, 2 refused." in page
    assert "Email “not an address”: Enter an email address such as ada@example.com." in page
    assert "Name: Enter a name." in page
    assert "Import 2 customers" in page
    assert "Imported One" not in grace.get("/customers?q=imported").split("<tbody")[-1]
    fields["csv"] = html.unescape(re.findall(r'<textarea name="csv" hidden>\n(.*?)</textarea>', page, re.DOTALL)[0])
    done = grace.upload("/customers/import/run", "", fields).text
    assert "1 customer created, 1 updated, 2 refused." in done
    failed = html.unescape(re.findall(r'<textarea name="failed" hidden>\n(.*?)</textarea>', done, re.DOTALL)[0])
    assert failed.splitlines()[0].endswith("Shoe size,Error")
    assert failed.splitlines()[2].startswith(",nameless@import.example,")
    answer = grace.send("/customers/import/failed", {"csrf": grace.csrf("/customers"), "failed": failed})
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert 'filename="customers-not-imported.csv"' in answer.headers["Content-Disposition"]
    assert answer.text.removeprefix("\ufeff") in (failed.replace("\r\n", "\n"), failed)
    listed = grace.get("/customers?q=imported")
    assert "Alan Turing" in listed
    updated = grace.get(known)
    assert "Known Person" in updated
    assert 'href="tel:123"' in updated
    assert "Inactive" in updated


def test_an_export_is_imported_again_with_progress(box: Box, grace: Visitor) -> None:
    """The columns of an export find their fields, rows find their records by external id, and a script sees parts."""
    lines = ["external_id,name,tags,custom,created_at,phone"]
    lines += [f'imp-{number},Round {number:03},"a, b",,2026-01-01T00:00:00Z,\'+49 {number}' for number in range(120)]
    text = "\ufeff" + "\r\n".join(lines)
    page = grace.upload("/customers/import", text).text
    assert chosen(page) == ["external_id", "name", "tags", "", "", "phone"]
    assert "120 customers would be created, 0 updated." in page
    answer = grace.upload("/customers/import/run", text, Accept="application/x-ndjson")
    parts = [json.loads(line)["html"] for line in answer.text.splitlines()]
    assert "Importing: 100 of 120" in parts[0]
    assert "120 customers created, 0 updated." in parts[-1]
    assert "0 customers would be created, 120 updated." in grace.upload("/customers/import", text).text
    token = box.bearer("customers:read")
    found = box.client.get(f"/i/eu1/t/{TENANT}/api/v1/customers?external_id=imp-7", headers=token).json()["items"][0]
    assert (found["tags"], found["phone"]) == (["a", "b"], "+49 7")


@pytest.mark.parametrize("path", ["/customers/export.csv", "/sync/log.csv"])
def test_downloads_of_pages_begin_with_a_byte_order_mark(ida: Visitor, path: str) -> None:
    """People open them in a spreadsheet, which reads umlauts of a file without one as two other characters."""
    answer = ida.client.get(ida.root + path)
    assert answer.status_code == 200
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert not answer.content.startswith(b"\xef\xbb\xbf" * 2)


@pytest.mark.parametrize("locale", [None, "de-DE"])
def test_an_export_that_is_imported_again_changes_no_value(box: Box, grace: Visitor, locale: str | None) -> None:
    """Not lines of notes, texts that begin like formulas, tags with commas, nor amounts with three decimals."""
    token, path = box.bearer("customers:write", "customers:read", "deals:write", "deals:read"), f"{box.base()}/"
    texts = ["one\ntwo", " - a\n - b\n", "\nthree", "'=4", "\uff0bfive", "\u2028six"]
    sent = [{"name": f"Round {at}", "notes": text} for at, text in enumerate(texts)]
    sent += [{"name": "'-7"}, {"name": "\uff20eight", "tags": ["a, b", "c", '["d"]']}]
    made = [box.client.post(path + "customers", json={**one, "company": f"R{locale}"}, headers=token) for one in sent]
    for amount in ("1.234", "12.500", "1234.567", "0.5", "1250.50", "1250"):
        deal = {"name": amount, "customer_id": made[0].json()["id"], "amount": amount, "currency": "KWD"}
        made.append(box.client.post(path + "deals", json=deal, headers=token))
    box.applied("workspace", {"locale": locale} if locale else {})
    try:
        for kind, records in (("customers", made[: len(sent)]), ("deals", made[len(sent) :])):
            before = [answer.json() for answer in records]
            exported = grace.client.get(f"{grace.root}/{kind}/export.csv").text
            fields: dict[str, str | list[str]] = {"key": "email" if kind == "customers" else ""}
            # as browsers send it: rows without an external id are other records, with the same values
            fields["csv"] = exported.replace("\r\n", "\n").replace("\n", "\r\n")
            grace.upload(f"/{kind}/import/run", "", fields)
            found: list[dict[str, Any]] = []
            for one in before:
                query = {"name": one["name"], "sort": "-created_at"}
                found.append(box.client.get(path + kind, params=query, headers=token).json()["items"][0])
            for old, new in zip(before, found, strict=True):
                assert new["id"] != old["id"]
                assert Decimal(new.pop("amount", None) or 0) == Decimal(old.pop("amount", None) or 0)
                for name in ("name", "notes", "tags", "company"):
                    assert new.get(name) == old.get(name)
    finally:
        box.applied("workspace", {})


def test_an_export_of_another_crm_finds_its_fields(grace: Visitor) -> None:
    """The usual heads of other programs are known, and the columns of first and last name are the name together."""
    text = "Record ID,First Name,Last Name,Phone Number,Company name,Contact owner,Zip,Lead Status\n"
    text += '501,Mia,"van der Berg",+49 40 1,Berg AG,Alan Turing,20095,NEW\n502,Kim,,,,,,\n'
    page = html.unescape(grace.upload("/customers/import", text).text)
    fields = ["external_id", "name", "name", "phone", "company", "owner", "address.postal_code", ""]
    assert chosen(page) == fields
    assert "2 customers would be created, 0 updated." in page
    page = grace.upload("/customers/import/run", text, {"field": fields, "key": "external_id"}).text
    assert "2 customers created, 0 updated." in page
    assert "Mia van der Berg" in grace.get("/customers?q=berg")
    whole = grace.upload("/customers/import", "Full Name,First Name\nKim Lee,Kim\n").text
    assert chosen(whole) == ["name", ""]
    twice = grace.upload("/customers/import", text, {"field": ["phone", "phone", *fields[2:]]})
    assert twice.status_code == 422


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The file has no rows."),
        ("name\n", "The file has no rows."),
        ("foo,bar\n1,2\n", "No column has the name of a field."),
        ('name\n"open\n', None),
        ("name\n" + "x\n" * 5001, "The file has 5001 rows. Import up to 5000 at a time."),
        ("name\n" + "x" * 2_100_000, "The file is larger than 2 MB."),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(grace: Visitor, text: str, sentence: str | None) -> None:
    """Nothing is imported, and the page says what to do; a quote that never closes is one long cell."""
    answer = grace.upload("/customers/import", text)
    if sentence is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, sentence in html.unescape(answer.text)) == (422, True)


def test_two_imports_of_a_file_at_the_same_time_create_each_record_once(
    box: Box, grace: Visitor, alan: Visitor
) -> None:
    """As in two tabs: a row finds the record that the other import has just created by its email address."""
    text = "Name,Email\n" + "".join(f"Tab {n},tab-{n}@import.example\n" for n in range(250))
    forms = [(one, {"csrf": one.csrf("/customers"), "key": "email"}) for one in (grace, alan)]

    def run(visitor: Visitor, form: dict[str, str]) -> int:
        files, headers = {"file": ("people.csv", text, "text/csv")}, {"Origin": visitor.origin}
        return visitor.client.post(
            f"{visitor.root}/customers/import/run", data=form, files=files, headers=headers
        ).status_code

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda one: run(*one), forms)) == [200, 200]
    query, token = {"q": "tab", "total": "true", "limit": "1"}, box.bearer("customers:read")
    assert box.client.get(f"{box.base()}/customers", params=query, headers=token).json()["total"] == 250


def test_a_row_with_more_cells_than_heads_is_refused(grace: Visitor) -> None:
    """A separator in a text without quotes cuts nothing off; the file of refused rows has every cell."""
    text = 'Name,Company,Notes\nA,Acme, Inc,hello\nLong B,"Bcme, Inc",hello,, ,\n'
    page = html.unescape(grace.upload("/customers/import/run", text).text)
    assert "1 customer created, 0 updated, 1 refused." in page
    assert "It has more cells than the first line." in page
    failed = re.findall(r'<textarea name="failed" hidden>\n(.*?)</textarea>', page, re.DOTALL)[0]
    assert [*csv.reader(failed.splitlines())][1][::2] == ["A", " Inc", "hello"]


def test_an_import_finds_what_rows_refer_to(grace: Visitor) -> None:
    """A deal's customer is named by its name or external id; one that does not exist refuses the row."""
    grace.customer(name="Referred Boats")
    text = "Name,Customer,Amount\nFirst,Referred Boats,1250.50\nSecond,Missing Boats,1\nThird,Referred Boats,many\n"
    text += 'Fourth,Missing Boats,"1.234"\n'
    page = html.unescape(grace.upload("/deals/import", text).text)
    assert "1 deal would be created, 0 updated, 3 refused." in page
    assert re.search(r"There is no customer “Missing Boats”\. Amount “1\.234”: ", page)  # both errors of the last row
    assert "Customer: There is no customer “Missing Boats”." in page
    assert "Amount “many”: Enter an amount such as" in page


@pytest.mark.parametrize("key", ["email", "external_id"])
def test_a_second_row_of_the_same_record_is_refused(grace: Visitor, key: str) -> None:
    """It is named with the row that has the value first, also many rows before; nothing is created twice."""
    rows = [f"{n}@{key[:5]}.example,{key}-{n},Row {n}" for n in range(150)]
    again = {"email": "0@EMAIL.example,other,Again", "external_id": "again@exter.example,external_id-0,Again"}[key]
    text = "\n".join(["email,external id,name", *rows, again])
    fields: dict[str, str | list[str]] = {"field": ["email", "external_id", "name"], "key": key}
    label = {"email": "Email", "external_id": "External ID"}[key]
    for action, verb in (("", "would be created"), ("/run", "created")):
        page = html.unescape(grace.upload(f"/customers/import{action}", text, fields).text)
        assert f"150 customers {verb}, 0 updated, 1 refused." in page
        assert f"Row 2 has the same value in “{label}”. Combine both rows." in page


def test_an_owner_is_a_colleague_or_one_that_records_have_already(box: Box, grace: Visitor) -> None:
    """A name that no colleague has refuses its row; a text that another system wrote is exported and imported again."""
    bearer = box.bearer("customers:write")
    path = f"/i/eu1/t/{TENANT}/api/v1/customers"
    assert box.client.post(path, json={"name": "By Team", "owner": "Team North"}, headers=bearer).status_code == 201
    text = "Name,Owner,Phone\nA,alan turing\nB,Alan,none\nC,Team North\nD,agent@engines.example\n"
    page = html.unescape(grace.upload("/customers/import", text).text)
    assert "3 customers would be created, 0 updated, 1 refused." in page
    assert "Owner: No colleague is named “Alan”. Enter the full name or the email address." in page
    assert "Phone “none”: Enter a telephone number" in page


def test_a_word_that_is_neither_yes_nor_no_refuses_its_row(box: Box, grace: Visitor) -> None:
    """The words of both are taken in any case, an empty cell is no, and the refusal names the words."""
    words = {"Yes": True, "X": True, "WAHR": True, "No": False, "0": False, "Falsch": False, "": False}
    rows = [f"Flagged {number},{word}" for number, word in enumerate((*words, "maybe", "2"))]
    text = "\n".join(["Name,Done", *rows])
    for action, verb in (("", "would be created"), ("/run", "created")):
        page = html.unescape(grace.upload(f"/tasks/import{action}", text).text)
        assert f"7 tasks {verb}, 0 updated, 2 refused." in page
        for word in ("maybe", "2"):
            assert f"Done: “{word}” is neither yes nor no. Enter one of yes, y, true, 1, x," in page
        assert "or one of no, n, false, 0," in page
    path, reader = f"/i/eu1/t/{TENANT}/api/v1/tasks?q=flagged&limit=50", box.bearer("tasks:read")
    found = {one["name"]: one["done"] for one in box.client.get(path, headers=reader).json()["items"]}
    assert found == {f"Flagged {number}": is_yes for number, is_yes in enumerate(words.values())}


def test_an_import_requires_the_right_to_create(box: Box, grace: Visitor) -> None:
    """Without it the list does not offer it, and its address is refused."""
    assert "/customers/import" in grace.get("/customers")
    try:
        box.applied("features", {**EVERYTHING, "roles": {"manager": {"deny": ["customers.create"]}}})
        assert "/customers/import" not in grace.get("/customers")
        grace.get("/customers/import", 403)
        assert grace.upload("/customers/import/run", "name\nx\n").status_code == 403
    finally:
        box.applied("features", EVERYTHING)

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import pytest
from werkzeug.datastructures import MultiDict

from crm_core.errors import Finding, InvalidRecord
from crm_core.model.presentation import Regional
from crm_core.model.record_members import (
    Amount,
    Currency,
    Custom,
    Day,
    EmailAddress,
    Line,
    Moment,
    Notes,
    RecordId,
    Tags,
)
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType, Reference
from crm_core.web.pages.layout.formats import Formats, RegionalFormat
from crm_core.web.pages.records.forms import RecordForm
from crm_core.web.pages.records.typed_values import entries_of, read


class Place(msgspec.Struct, forbid_unknown_fields=True):
    city: Line | None = None
    country: Line | None = None


class Visit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    email: EmailAddress | None = None
    kind: Literal["call", "on_site"] = "call"
    mood: Literal["good", "bad"] | None = None
    customer_id: RecordId | None = None
    on: Day | None = None
    met: Moment | None = None
    fee: Amount | None = None
    currency: Currency | None = None
    people: int | None = None
    score: float | None = None
    done: bool = False
    tags: Tags = []
    place: Place | None = None
    owner: Line | None = None
    notes: Notes | None = None
    custom: Custom = {}


class Visits(RecordType):
    NAME = "visits"
    TITLE = "Visits"
    SINGULAR = "Visit"
    RECORD = Visit
    FILTERABLE = ("owner",)
    OWNER = "owner"
    REFERENCES = (Reference("customer_id", "customers"),)


VISITS = Visits()
FORMATS = Formats(RegionalFormat(Regional()), datetime(2026, 11, 28, 12, tzinfo=UTC))
RECORD: dict[str, Any] = {
    "name": "First", "email": "a@b.example", "kind": "on_site", "mood": None, "customer_id": None, "on": "2026-11-24",
    "met": None,
    "fee": "12.50", "currency": "EUR", "people": 3, "score": 1.5, "done": True, "tags": ["a", "b"],
    "place": {"city": "Kiel"}, "owner": None, "notes": "one\ntwo", "custom": {"n": 5, "t": "x", "yes": True},
}  # fmt: skip


def stored(**over: Any) -> RecordForm:
    """The form of the record, with some members changed before it is opened."""
    return RecordForm.of(VISITS, {**RECORD, **over}, FORMATS)


def browser_form(values: dict[str, str], **over: str) -> MultiDict[str, str]:
    """The form that a browser sends for these values."""
    form: MultiDict[str, str] = MultiDict({name: value.replace("\n", "\r\n") for name, value in values.items()})
    form.poplist("custom")
    for name, value in (msgspec.json.decode(values["custom"]) if values["custom"] else {}).items():
        form.add("custom.key", name)
        form.add("custom.value", value)
    for name, value in over.items():
        form[name] = value
    return form


def test_a_form_sent_back_unchanged_changes_nothing() -> None:
    """A form shows and sends back the same values, so that nothing is written by opening it."""
    form = stored()
    assert form.sent(browser_form(form.values)).patch() == {}


@pytest.mark.parametrize(
    ("field", "text", "patch"),
    [
        ("name", " Second ", {"name": "Second"}),
        ("email", "", {"email": None}),
        ("people", "12", {"people": 12}),
        ("people", "1.234", {"people": 1234}),
        ("people", "1.5", {"people": "1.5"}),
        ("met", "4 Dec 14:30", {"met": "2026-12-04T14:30:00.000Z"}),
        ("met", "now", {"met": "2026-11-28T12:00:00.000Z"}),
        ("met", "4 Dec", {"met": "4 Dec"}),
        ("people", "many", {"people": "many"}),
        ("done", "", {"done": False}),
        ("tags", "a, c,, d ", {"tags": ["a", "c", "d"]}),
        ("fee", "1 250,75", {"fee": "1250.75"}),
        ("fee", "1\N{NARROW NO-BREAK SPACE}250,75", {"fee": "1250.75"}),
        ("fee", "0,500", {"fee": "0.500"}),
        ("fee", "12,5000", {"fee": "12.5000"}),
        ("fee", "1,250.75", {"fee": "1250.75"}),
        ("fee", "3 £", {"fee": "3", "currency": "GBP"}),
        ("on", "4 Dec", {"on": "2026-12-04"}),
        ("on", "some day", {"on": "some day"}),
        ("score", "2,25", {"score": 2.25}),
        ("score", "1e-07", {"score": 1e-07}),
        ("score", "nan", {"score": "nan"}),
        ("score", "1_000", {"score": "1_000"}),
        ("score", "9" * 400, {"score": "9" * 400}),
        ("currency", "usd", {"currency": "USD"}),
        ("place.city", "Bonn", {"place": {"city": "Bonn"}}),
        ("place.city", "", {"place": {"city": None}}),
        ("notes", "three", {"notes": "three"}),
    ],
)
def test_a_changed_field_is_a_merge_patch(field: str, text: str, patch: dict[str, Any]) -> None:
    """The text of each kind of member becomes its JSON value; a text that is none stays text and is refused later."""
    form = stored()
    assert form.sent(browser_form(form.values, **{field: text})).patch() == patch


@pytest.mark.parametrize(
    ("field", "text", "question"),
    [
        ("fee", "12,500", [("12500", "€12,500.00"), ("12.5000", "€12.500, with three decimals")]),
        ("fee", "12.500", [("12500", "€12,500.00"), ("12.5000", "€12.500, with three decimals")]),
        ("score", "12,500", [("12500", "12500"), ("12.5000", "12.500, with three decimals")]),
        ("on", "4/12", [("2026-12-04", "Friday, 4 December 2026"), ("2027-04-12", "Monday, 12 April 2027")]),
        (
            "met",
            "4/12 9:30",
            [("2026-12-04 9:30", "Friday, 4 December 2026, 9:30"), ("2027-04-12 9:30", "Monday, 12 April 2027, 9:30")],
        ),
    ],
)
def test_a_value_with_two_readings_is_asked_about(field: str, text: str, question: list[tuple[str, str]]) -> None:
    """Without a locale one separator before three digits has two readings; the answer to the question is saved."""
    form = stored()
    sent = form.sent(browser_form(form.values, **{field: text}))
    with pytest.raises(InvalidRecord) as refused:
        sent.patch()
    shown = sent.refused(refused.value.errors)
    assert shown.errors == {field: f"{field.capitalize()} can be read in two ways. Which do you mean?"}
    assert [field.question for field in shown.fields() if field.question] == [tuple(question)]
    for answer, _ in question:
        answered = form.sent(browser_form(form.values, **{field: text, f"form:reading:{field}": answer})).patch()
        assert answered[field] == expected(field, answer)


def expected(field: str, answer: str) -> Any:
    """The JSON value of the answer to a question."""
    if field == "met":
        return f"{answer.partition(' ')[0]}T09:30:00.000Z"
    return float(answer) if field == "score" else answer


def test_an_amount_gets_its_currency_when_the_record_is_made() -> None:
    """A new record takes the currency that the amount names, else the workspace's; a stored one keeps its own."""
    blank = RecordForm.blank(VISITS, Formats(RegionalFormat(Regional(currency="CHF")), FORMATS.now))
    assert blank.sent(browser_form(blank.values, name="A", fee="5")).patch()["currency"] == "CHF"
    assert blank.sent(browser_form(blank.values, name="A", fee="5 EUR")).patch()["currency"] == "EUR"
    assert "currency" not in blank.sent(browser_form(blank.values, name="A")).patch()
    assert stored().sent(browser_form(stored().values, fee="7")).patch() == {"fee": "7"}


def test_two_currencies_are_refused() -> None:
    """An amount that names another currency than its field is asked about, as neither may be the slip."""
    form = stored()
    with pytest.raises(InvalidRecord) as refused:
        form.sent(browser_form(form.values, fee="5 USD", currency="GBP")).patch()
    assert [finding.pointer for finding in refused.value.errors] == ["/fee"]


@pytest.mark.parametrize(
    ("finding", "values", "sentence"),
    [
        (Finding("/name", "missing_member", "`name` is missing; add it."), {"name": ""}, "Enter a name."),
        (Finding("/kind", "invalid_value", "This must be one of call."), {}, "Choose one of Call, On site."),
        (
            Finding("/fee", "invalid_value", "This must be an amount"),
            {},
            "Enter an amount such as 1250.00.",
        ),
        (Finding("/on", "invalid_value", "This must be a date"), {}, "Enter a date such as 28 Nov 2026."),
        (
            Finding("/customer_id", "dangling_reference", "?"),
            {},
            "This customer is gone or archived. Choose another.",
        ),
        (Finding("/owner", "own_code", "Only Ada may."), {}, "Only Ada may."),
        (Finding("/email", "invalid_value", "We do not write to example."), {}, "We do not write to example."),
    ],
)
def test_errors_are_sentences_about_the_label(finding: Finding, values: dict[str, str], sentence: str) -> None:
    """The page names the field as the user sees it; the sentence of a plugin's own check stays."""
    form = stored()
    [error] = form.sent(browser_form(form.values, **values)).refused([finding]).errors.values()
    assert error == sentence


@pytest.mark.parametrize("text", ["9" * 5000, "3.5", "--3"])
def test_a_text_that_is_no_whole_number_stays_text(text: str) -> None:
    """The type of the member refuses it at its field; the server does not fail."""
    guests = Member(name="guests", label="Guests", kind="integer", type=int)
    assert read(guests, text, FORMATS).value == text
    assert read(guests, "-3", FORMATS).value == -3


def test_the_time_that_will_be_stored_is_shown_where_the_clock_skips_the_one_typed() -> None:
    """On 28 March 2027, the clocks of Zurich go from 02:00 to 03:00."""
    met = Member(name="met", label="Met", kind="moment", type=Moment)
    formats = Formats(RegionalFormat(Regional(timezone="Europe/Zurich")), FORMATS.now)
    typed = read(met, "2027-03-28 02:30", formats)
    assert (typed.value, typed.echo) == ("2027-03-28T01:30:00.000Z", "Sunday, 28 March 2027, 03:30")


def test_a_stored_amount_of_three_decimals_stays() -> None:
    """An ambiguous amount that the user did not change is not refused."""
    form = stored(fee="12.500")
    assert form.sent(browser_form(form.values, name="Second")).patch() == {"name": "Second"}


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("Kiel, Am Hafen, vip, new", ["Kiel, Am Hafen", "vip", "new"]),
        ("new,Kiel,Am Hafen", ["new", "Kiel, Am Hafen"]),
        ("Kiel, vip", ["Kiel", "vip"]),
        ("Am Hafen, Kiel", ["Am Hafen", "Kiel"]),
        ("", []),
    ],
)
def test_a_stored_text_with_a_comma_stays_whole(text: str, tags: list[str]) -> None:
    """Changing one of several texts does not split another one that contains a comma."""
    form = stored(tags=["Kiel, Am Hafen", "vip"])
    assert form.sent(browser_form(form.values, tags=text)).patch() == {"tags": tags}


def test_free_members_keep_their_types() -> None:
    """An unchanged number stays a number, a changed one is text, a cleared name removes its member."""
    form = stored()
    changed = browser_form(form.values)
    changed.setlist("custom.key", ["n", "t", "", "new"])
    changed.setlist("custom.value", ["5", "y", "true", "1"])
    assert form.sent(changed).patch() == {"custom": {"n": 5, "t": "y", "new": "1", "yes": None}}


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("n", "5"), ("", "typed")], "Enter a field for the value “typed”."),
        ([("n", "5"), (" ", "true"), ("", "typed")], "Enter a field for the value “typed”."),
        ([("n", "5"), (" n ", "6")], "The field “n” is there twice. Remove one of them."),
    ],
)
def test_no_typed_value_of_a_free_member_is_dropped(pairs: list[tuple[str, str]], sentence: str) -> None:
    """A value without a name, and a second one under the same name, are errors, and the form shows them again."""
    form = stored()
    changed = browser_form(form.values)
    changed.setlist("custom.key", [name for name, _ in pairs])
    changed.setlist("custom.value", [value for _, value in pairs])
    sent = form.sent(changed)
    with pytest.raises(InvalidRecord) as refused:
        sent.patch()
    assert [(one.pointer, one.message) for one in refused.value.errors] == [("/custom", sentence)]
    shown = next(field.pairs for field in sent.fields() if field.name == "custom")
    assert {value for _, value in pairs} <= {pair.value for pair in shown}


def test_controls_follow_the_kinds() -> None:
    """Every kind of member has its control; an optional choice can be none, one with a default begins with it."""
    form = msgspec.structs.replace(RecordForm.blank(VISITS, FORMATS), shown={"customer_id": "Ada"})
    kinds = {field.name: field.kind for field in form.fields()}
    assert kinds == {
        "name": "text", "email": "email", "kind": "select", "mood": "select", "customer_id": "picker", "on": "text",
        "met": "text",
        "fee": "text", "currency": "text", "people": "text", "score": "text", "done": "check", "tags": "text",
        "owner": "picker", "notes": "area", "custom": "pairs",
    }  # fmt: skip
    by_name = {field.name: field for field in form.fields()}
    assert by_name["kind"].value == "call"
    assert [option.text for option in by_name["mood"].options] == ["None", "Good", "Bad"]
    assert (by_name["customer_id"].shown, by_name["customer_id"].refers) == ("Ada", "customers")
    assert by_name["name"].required
    [group] = form.groups()
    assert [field.name for field in group.fields] == ["place.city", "place.country"]


def test_errors_appear_at_their_fields() -> None:
    """Findings inside objects, lists and free members belong to their field; unknown pointers to none."""
    found = [("/email", "bad mail"), ("/place/city", "bad city"), ("/tags/1", "bad tag"), ("/custom/n", "bad n")]
    found.append(("/x", "?"))
    form = stored().refused(Finding(pointer, "invalid_value", message) for pointer, message in found)
    assert form.errors == {"email": "bad mail", "place.city": "bad city", "tags": "bad tag", "custom": "bad n", "": "?"}
    assert {field.name: field.error for field in form.fields() if field.error} == {
        "email": "bad mail", "tags": "bad tag", "custom": "bad n",
    }  # fmt: skip
    [group] = form.groups()
    assert group.fields[0].error == "bad city"


@pytest.mark.parametrize(
    ("text", "found"),
    [("", {}), ('{"a":"b"}', {"a": "b"}), ("'", {}), ("[1]", {}), ("1", {}), ('{"a": 1}', {}), ("{", {})],
)
def test_entries_that_are_none_are_ignored(text: str, found: dict[str, str]) -> None:
    """A form's values may come from its address, which anyone may write: the form opens regardless."""
    assert entries_of(text) == found

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import msgspec
import pytest

from crm_activities.record_type import Activities
from crm_core.errors import Finding, PluginFailed
from crm_core.model.fields import convert
from crm_core.model.record_members import Amount, Currency, Day, EmailAddress, ExternalId, Line, Phone, Tags
from crm_core.plugin.record_type import RecordType
from crm_core.testing.record_type import SOME_ID, RecordTypeSuite
from crm_customers.record_type import Customers
from crm_deals.record_type import Deals
from crm_tasks.record_type import Tasks

COMMON = {"tags": ["vip", "north"], "notes": "First line\nand a second.", "custom": {"rank": 1, "vip": True, "x": "y"}}


class TestCustomers(RecordTypeSuite):
    record_type_class = Customers
    valid: ClassVar[dict[str, Any]] = {
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "phone": "+49 (30) 1234-56 x7",
        "company": "Analytical Engines Ltd",
        "status": "active",
        "address": {
            "line1": "12 St James's Square",
            "line2": "Flat 3",
            "city": "London",
            "region": "Greater London",
            "postal_code": "SW1Y 4JH",
            "country": "United Kingdom",
        },
        "owner": "grace@example.com",
        **COMMON,
    }


class TestDeals(RecordTypeSuite):
    record_type_class = Deals
    valid: ClassVar[dict[str, Any]] = {
        "name": "Ten engines",
        "customer_id": SOME_ID,
        "stage": "proposal",
        "amount": "12500.50",
        "currency": "EUR",
        "closes_on": "2026-12-31",
        "owner": "grace@example.com",
        **COMMON,
    }

    def test_a_name_that_shows_nothing_is_listed_with_the_other_errors(self) -> None:
        """All errors are listed."""
        assert self.pointers({**self.valid, "name": "\u0301", "stage": "?"}) == {"/name", "/stage"}

    def test_a_currency_must_exist(self) -> None:
        """A code of the right form that ISO 4217 does not know is refused."""
        assert self.pointers({**self.valid, "currency": "XXX"}) == {"/currency"}


class Port(msgspec.Struct, forbid_unknown_fields=True):
    city: Line | None = None
    country: Line | None = None


class Sailor(msgspec.Struct, forbid_unknown_fields=True):
    name: Line
    is_cook: bool = False


class Voyage(msgspec.Struct, forbid_unknown_fields=True):
    name: Line
    port: Port | None = None
    crew: Annotated[list[Sailor], msgspec.Meta(max_length=9)] = []


class Voyages(RecordType):
    NAME, TITLE, SINGULAR, RECORD = "voyages", "Voyages", "Voyage", Voyage


class TestPartsWithDefaults(RecordTypeSuite):
    """A valid record may leave out members of an object and of a row."""

    record_type_class = Voyages
    valid: ClassVar[dict[str, Any]] = {"name": "North", "port": {"city": "Kiel"}, "crew": [{"name": "Ada"}]}


class TestTasks(RecordTypeSuite):
    record_type_class = Tasks
    valid: ClassVar[dict[str, Any]] = {
        "name": "Call back",
        "customer_id": SOME_ID,
        "deal_id": SOME_ID.replace("0", "1"),
        "due_on": "2026-11-30",
        "done": True,
        "assignee": "grace@example.com",
        **COMMON,
    }


class TestActivities(RecordTypeSuite):
    record_type_class = Activities
    smallest: ClassVar[dict[str, Any]] = {"text": "Called back"}
    valid: ClassVar[dict[str, Any]] = {
        "name": "Called back",
        "kind": "call",
        "text": "Called back.\nShe wants three boats.",
        "at": "2026-11-24T02:00:00.000Z",
        "customer_id": SOME_ID,
        "deal_id": SOME_ID.replace("0", "1"),
        "owner": "grace@example.com",
    }

    def test_the_first_line_is_the_name(self) -> None:
        """An activity without a name is named after the first line of its text; without both it is refused."""
        for text in ("\n  Wants three boats \nby May", "\u200c\u00a0\u200c\n\u200bWants three\tboats"):
            named = self.shape().validate({"text": text}).content
            assert named is not None
            assert named.record.name == "Wants three boats"
        assert self.pointers({"kind": "note"}) == {"/name"}

    def test_a_missing_name_is_listed_with_the_other_errors(self) -> None:
        """All errors are listed, unless the text that the name would be made of is among them."""
        assert self.pointers({"kind": "fax", "at": "noon"}) == {"/kind", "/at", "/name"}
        assert self.pointers({"kind": "fax", "owner": 5, "text": " "}) == {"/kind", "/owner", "/name"}
        assert self.pointers({"kind": "fax", "text": "Called back."}) == {"/kind"}
        assert self.pointers({"kind": "fax", "text": 5}) == {"/kind", "/text"}
        assert self.pointers({"kind": "fax", "name": "x" * 201}) == {"/kind", "/name"}

    def test_times_are_stored_in_utc(self) -> None:
        """A time with any zone is stored as the wire shows it; one without a zone is refused."""
        content = self.shape().validate({"name": "A", "at": "2026-11-24T03:00:00+01:00"}).content
        assert content is not None
        assert content.record.at == "2026-11-24T02:00:00.000Z"
        assert self.pointers({"name": "A", "at": "2026-11-24T03:00:00"}) == {"/at"}


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        (EmailAddress, ["a@b", "a.b+c@example.com"], ["", "a", "@b", "a@", "a b@c", "a@b\n", "a@-b", "ä@example.com"]),
        (Phone, ["1", "+49 30 1", "(030) 12 34", "+1 555.123-4567 ext. 8"], ["", "abc", "+", "12\n", "1" * 51]),
        (Amount, ["0", "0.5", "1250.00", "999999999999.9999"], ["", "-1", "01", "1.", ".5", "1e3", "1,5", "1.23456"]),
        (Day, ["2026-02-28", "2028-02-29"], ["2026-02-30", "26-01-01", "2026-1-1", "2026-01-01T00:00:00Z"]),
        (Currency, ["EUR"], ["eur", "EURO", "", "E1R"]),
        (ExternalId, ["a", "A.b_c:d@e-f", "x" * 128], ["", ".", "..", "a b", "a/b", "ä", "x" * 129, "a\n"]),
    ],
)
def test_kinds_of_members(type_: Any, good: list[str], bad: list[str]) -> None:
    """Each kind accepts only complete values of its form."""
    assert [value for value in good if convert(value, type_)[1]] == []
    assert [value for value in bad if not convert(value, type_)[1]] == []


def test_custom_values_are_plain() -> None:
    """Custom values are texts, numbers and booleans within limits; nested values and odd names are refused."""
    suite = TestCustomers()
    for good in ({"a": 1.5}, {"a": 2**53 - 1}, {"a": "x" * 2000}, {f"m{n}": n for n in range(100)}):
        assert suite.pointers({"name": "A", "custom": good}) == set()
    bad = (
        {"a": {}},
        {"a": []},
        {"a": 2**53},
        {"a": "x" * 2001},
        {"a b": 1},
        {"x" * 65: 1},
        {f"m{n}": n for n in range(101)},
    )
    for each in bad:
        assert len(suite.pointers({"name": "A", "custom": each})) == 1, each


class Loose(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    remark: str | None = None
    rank: int | None = None


class LooseType(RecordType):
    NAME = "loose"
    TITLE = "Loose"
    SINGULAR = "Loose"
    RECORD = Loose


def test_the_suite_fails_on_a_loose_type() -> None:
    """A type with unlimited texts and any characters fails the suite."""

    class Suite(RecordTypeSuite):
        record_type_class = LooseType
        valid: ClassVar[dict[str, Any]] = {"name": "A", "remark": "B"}

    suite = Suite()
    for case in (
        suite.test_each_member_has_a_type_and_a_length,
        suite.test_control_characters_are_refused,
    ):
        with pytest.raises(AssertionError):
            case()


class Contact(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    email: EmailAddress | None = None
    phone: Phone | None = None
    tags: Tags = []


class Contacts(RecordType):
    NAME = "contacts"
    TITLE = "Contacts"
    SINGULAR = "Contact"
    RECORD = Contact

    def check(self, record: Contact) -> Iterable[Finding]:
        """Require one of two optional members."""
        if record.email is None and record.phone is None:
            yield Finding("/email", "missing_member", "Say how to reach them.")


class TestContacts(RecordTypeSuite):
    """A type whose check requires more than its required members passes the suite."""

    record_type_class = Contacts
    valid: ClassVar[dict[str, Any]] = {"name": "Ada", "email": "ada@example.com", "phone": "+49 30 1", "tags": ["a"]}
    smallest: ClassVar[dict[str, Any]] = {"name": "A", "phone": "1"}


def test_a_refused_record_shows_its_findings() -> None:
    """The suite's failure has the message of the type's own check."""

    class Suite(RecordTypeSuite):
        record_type_class = Contacts
        valid: ClassVar[dict[str, Any]] = {"name": "Ada"}

    with pytest.raises(AssertionError, match=r"/email: Say how to reach them\."):
        Suite().test_a_record_has_all_its_members()


def test_assertions_of_the_suites_show_their_values() -> None:
    """A failed assertion in a suite shows the compared values, as in a test file."""
    suite = TestContacts()
    with pytest.raises(AssertionError, match=r"assert set\(\) == \{''\}|where set\(\)"):
        suite.test_a_record_is_an_object(suite.valid)


class Berth(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    until: Day | None = None


class Berths(RecordType):
    """Compares with a stored member that may be absent, and labels members that it does not have."""

    NAME = "berths"
    TITLE = "Berths"
    SINGULAR = "Berth"
    RECORD = Berth
    LABELS: ClassVar[dict[str, str]] = {"untill": "Ends", "until.late": "Late", "until": "Until"}

    def check(self, record: Berth, before: Berth | None) -> Iterable[Finding]:
        if before is not None and before.until is not None and before.until.year < 2026:
            yield Finding("/until", "invalid_value", "It has ended.")


class CarelessBerths(Berths):
    def check(self, record: Berth, before: Berth | None) -> Iterable[Finding]:
        if before is not None and before.until.year < 2026:  # type: ignore[union-attr]  # the point
            yield Finding("/until", "invalid_value", "It has ended.")


def test_the_suite_finds_a_label_of_nothing_and_a_stored_member_that_is_taken_for_given() -> None:
    """A misspelled label shows nowhere; a stored record may lack each optional member."""
    members = {"record_type_class": CarelessBerths, "valid": {"name": "North", "until": "2026-12-01"}}
    suite = type("Suite", (RecordTypeSuite,), members)()
    with pytest.raises(AssertionError, match=r"LABELS names until\.late, untill, which"):
        suite.test_each_label_is_of_something()
    with pytest.raises(PluginFailed):
        suite.test_a_record_is_computed_and_checked_alike_each_time()
    careful = type("Suite", (RecordTypeSuite,), {**members, "record_type_class": Berths})()
    careful.test_a_record_is_computed_and_checked_alike_each_time()

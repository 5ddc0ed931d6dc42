from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import pytest

from crm_core.errors import Finding
from crm_core.model.record_members import Custom, Line, Tags
from crm_core.plugin.record_type import RecordType
from crm_core.records.shape import Content, Shape, Stamps


class Visit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    tags: Tags = []
    custom: Custom = {}


class Writing(RecordType):
    NAME = "visits"
    TITLE = "Visits"
    SINGULAR = "Visit"
    RECORD = Visit

    def check(self, record: Visit) -> Iterable[Finding]:
        """Change all that can be changed."""
        record.name = "changed" * 1000
        record.tags.append("changed")
        record.custom["changed"] = "x"
        return ()


def test_a_check_changes_nothing_that_is_stored() -> None:
    """It has its own record: nothing gets past the schema by it."""
    data: dict[str, Any] = {"name": "A", "tags": ["t"], "custom": {"c": "d"}}
    judged = Shape(Writing(), "lone").validate(data)
    assert judged.content is not None
    assert msgspec.to_builtins(judged.content.record) == data == {"name": "A", "tags": ["t"], "custom": {"c": "d"}}


class Stock(msgspec.Struct, forbid_unknown_fields=True):
    name: Line
    pieces: int = 0
    boxes: int = 0


class Stocks(RecordType):
    NAME = "stocks"
    TITLE = "Stocks"
    SINGULAR = "Stock"
    RECORD = Stock
    SORTABLE = ("pieces",)
    COMPUTED = ("boxes",)

    def complete(self, record: Stock, before: Stock | None) -> Stock:
        return msgspec.structs.replace(record, boxes=record.pieces * 2)


@pytest.mark.parametrize(
    ("pieces", "pointers"),
    [
        (2**62 - 1, []),
        (-(2**62), []),
        (2**62, ["/boxes"]),
        (2**63, ["/pieces", "/boxes"]),
        (-(10**30), ["/pieces", "/boxes"]),
    ],
)
def test_integers_have_sixty_four_bits(pieces: int, pointers: list[str]) -> None:
    """Stores find and sort by no others, so a larger one, sent or computed, is the sender's mistake."""
    judged = Shape(Stocks(), "lone").validate({"name": "A", "pieces": pieces})
    assert [finding.pointer for finding in judged.findings] == pointers
    assert {finding.code for finding in judged.findings} <= {"invalid_value"}


class OldTrip(msgspec.Struct, forbid_unknown_fields=True):
    name: Line
    miles: int | None = None


class NewTrip(msgspec.Struct, forbid_unknown_fields=True):
    name: Line
    kilometres: int | None = None


class Trips(RecordType):
    NAME = "trips"
    TITLE = "Trips"
    SINGULAR = "Trip"
    RECORD = NewTrip
    SORTABLE = ("kilometres",)
    SCHEMA_VERSION = 2

    def upgrade(self, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        return {"name": data["name"], "kilometres": round(data["miles"] * 1.609)}


def trips_of_before() -> Shape:
    members = {"NAME": "trips", "TITLE": "Trips", "SINGULAR": "Trip", "RECORD": OldTrip, "SORTABLE": ("miles",)}
    return Shape(type("Trips", (RecordType,), members)(), "acme")


def test_a_stored_record_is_upgraded_to_the_present_schema() -> None:
    """Its body and indexes are those of the type as it is now; ids and stamps stay, and then nothing is to do."""
    stamps = Stamps("2026-11-24T02:00:00.000Z", "2026-11-25T02:00:00.000Z", None, "token:t", "token:t", 3)
    old, new = trips_of_before(), Shape(Trips(), "acme")
    put = old.put("1", Content("X-1", OldTrip("Bornholm", 100)), stamps)
    upgrade = new.reindex(tuple(put.indexes))
    assert upgrade is not None
    body, indexes = upgrade(put.body)
    assert msgspec.json.decode(body) == msgspec.json.decode(
        new.put("1", Content("X-1", NewTrip("Bornholm", 161)), stamps).body
    )
    assert indexes["kilometres"] == 161
    assert new.reindex(tuple(indexes)) is None


class LongerTrip(msgspec.Struct, forbid_unknown_fields=True):
    name: Line
    miles: int | None = None
    ship: Line | None = None


def test_a_schema_version_alone_adds_new_members() -> None:
    """A type that adds a member and raises its version shows the member in stored records, without an ``upgrade``."""
    stamps = Stamps("2026-11-24T02:00:00.000Z", "2026-11-25T02:00:00.000Z", None, "token:t", "token:t", 3)
    put = trips_of_before().put("1", Content("X-1", OldTrip("Bornholm", 100)), stamps)
    members = {"RECORD": LongerTrip, "SORTABLE": ("miles",), "SCHEMA_VERSION": 2, "upgrade": RecordType.upgrade}
    upgrade = Shape(type("Trips", (Trips,), members)(), "acme").reindex(tuple(put.indexes))
    assert upgrade is not None
    assert msgspec.json.decode(upgrade(put.body)[0]) == {**msgspec.json.decode(put.body), "ship": None}


def test_a_record_that_cannot_be_upgraded_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once for its type, found by no filter, and tried again when the store is next opened."""
    stamps = Stamps("2026-11-24T02:00:00.000Z", "2026-11-25T02:00:00.000Z", None, "token:t", "token:t", 3)
    old, new = trips_of_before(), Shape(Trips(), "acme")
    put = old.put("1", Content("X-1", OldTrip("Bornholm", None)), stamps)
    for _ in range(2):
        upgrade = new.reindex(tuple(put.indexes))
        assert upgrade is not None
        body, indexes = upgrade(put.body)
        assert (body, indexes["external_id"], indexes["kilometres"]) == (put.body, "X-1", None)
        assert new.reindex(tuple(indexes)) is not None
    assert [record.getMessage() for record in caplog.records] == ["records_unreadable"]
    assert f"acme failed in upgrade: TypeError at {__name__}:" in caplog.records[0].members["reason"]  # type: ignore[attr-defined]


def test_an_upgrade_to_what_does_not_fit_is_logged_with_the_place(caplog: pytest.LogCaptureFixture) -> None:
    """The author sees which member of the outcome is wrong, and not its value."""
    stamps = Stamps("2026-11-24T02:00:00.000Z", "2026-11-25T02:00:00.000Z", None, "token:t", "token:t", 3)
    put = trips_of_before().put("1", Content("X-1", OldTrip("Bornholm", 100)), stamps)
    wrong = {"upgrade": lambda *_: {"name": "Bornholm", "kilometres": "far"}}
    upgrade = Shape(type("Trips", (Trips,), wrong)(), "acme").reindex(tuple(put.indexes))
    assert upgrade is not None
    assert upgrade(put.body)[0] == put.body
    reason = caplog.records[0].members["reason"]  # type: ignore[attr-defined]
    assert reason.startswith("upgrade returned a record that does not fit: /kilometres: ")
    assert "far" not in reason


def test_a_record_of_a_newer_schema_stays_as_it_is() -> None:
    """After a downgrade nothing is changed or lost."""
    stamps = Stamps("2026-11-24T02:00:00.000Z", "2026-11-25T02:00:00.000Z", None, "token:t", "token:t", 3)
    put = Shape(Trips(), "acme").put("1", Content(None, NewTrip("Bornholm", 161)), stamps)
    read = trips_of_before().reindex(tuple(put.indexes))
    assert read is not None
    assert read(put.body)[0] == put.body


class Receipt(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    number: Annotated[str, msgspec.Meta(pattern="^R-[0-9]+$")]
    name: Line | None = None


class Receipts(RecordType):
    NAME = "receipts"
    TITLE = "Receipts"
    SINGULAR = "Receipt"
    RECORD = Receipt
    COMPUTED = ("name",)

    def complete(self, record: Receipt, before: Receipt | None) -> Receipt:
        """Name it after its number."""
        return msgspec.structs.replace(record, name=f"Receipt {int(record.number[2:])}")


@pytest.mark.parametrize("data", [{"number": "one"}, {"number": 1}, {"number": None}, {}])
def test_a_refused_record_is_not_completed(data: dict[str, Any]) -> None:
    """A type's ``complete`` gets records that its schema accepts, and no others."""
    assert [finding.pointer for finding in Shape(Receipts(), "lone").validate(data).findings] == ["/number"]

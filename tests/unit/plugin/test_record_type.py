from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec
import pytest

from crm_core.model.record_members import Amount, Custom, Day, Line, Notes, RecordId, Tags
from crm_core.plugin.record_type import Due, Pipeline, RecordType, Reference


class Place(msgspec.Struct, forbid_unknown_fields=True):
    city: Line | None = None


class Visit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    customer_id: RecordId | None = None
    day: Day | None = None
    kind: Literal["call", "on_site"] = "call"
    cost: Amount | None = None
    tags: Tags = []
    notes: Notes | None = None
    custom: Custom = {}
    place: Place | None = None
    guests: int | None = None
    done: bool = False
    courses: list[Place] = []


def type_of(record: type[msgspec.Struct] = Visit, **members: Any) -> RecordType:
    return type("Visits", (RecordType,), {"NAME": "v", "TITLE": "V", "SINGULAR": "V", "RECORD": record, **members})()


def record(**fields: Any) -> type[msgspec.Struct]:
    needed = [("name", Line)] if "name" not in fields else []
    return msgspec.defstruct("Made", [*needed, *fields.items()], forbid_unknown_fields=True)


def test_members_are_described_for_forms_and_filters() -> None:
    """Kinds, labels, choices, references and lengths follow from the types."""
    visits = type_of(
        REFERENCES=(Reference("customer_id", "customers"),), LABELS={"kind.call": "By telephone", "place.city": "Town"}
    )
    kinds = {member.name: member.kind for member in visits.members}
    assert kinds == {
        "name": "text", "customer_id": "reference", "day": "date", "kind": "choice", "cost": "decimal", "tags": "texts",
        "notes": "paragraphs", "custom": "entries", "place": "object", "guests": "integer", "done": "flag",
        "courses": "rows",
    }  # fmt: skip
    assert visits.member("customer_id").label == "Customer"
    assert visits.member("customer_id").reference == "customers"
    assert visits.member("kind").choices == (("call", "By telephone"), ("on_site", "On site"))
    assert visits.member("notes").max_length == 10_000
    assert visits.member("name").required
    assert [member.label for member in visits.member("place").members] == ["Town"]
    assert [member.kind for member in visits.member("courses").members] == ["text"]
    assert visits.member("courses").cleaned([{"city": " Kiel "}, 5]) == [{"city": "Kiel"}, 5]
    with pytest.raises(KeyError):
        visits.member("nonsense")


@pytest.mark.parametrize(
    ("name", "value", "indexed"),
    [
        ("name", "Ada", "ada"),
        ("name", None, None),
        ("cost", "10", 100_000),
        ("cost", "0.0001", 1),
        ("day", date(2026, 11, 24), "2026-11-24"),
        ("tags", ["b", "a", "B"], ("b", "a")),
        ("guests", 7, 7),
        ("done", True, True),
    ],
)
def test_values_are_indexed_so_that_they_sort(name: str, value: Any, indexed: Any) -> None:
    """Decimals as whole numbers, dates as their text, lists as tuples, texts without case."""
    assert type_of().member(name).indexed(value) == indexed


@pytest.mark.parametrize(
    ("name", "text", "sought"),
    [
        ("name", " Ada ", "ada"),
        ("name", "", None),
        ("kind", "call", "call"),
        ("cost", "10.0", 100_000),
        ("day", "2026-11-24", "2026-11-24"),
        ("tags", "VIP", "vip"),
        ("guests", "-7", -7),
        ("done", "true", True),
        ("done", "false", False),
    ],
)
def test_a_filter_is_read_by_the_members_type(name: str, text: str, sought: Any) -> None:
    """The text of a query becomes the value of the index; an empty text means null."""
    found = type_of().member(name).sought(text)
    assert (found, type(found)) == (sought, type(sought))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kind", "visit"),
        ("cost", "1e3"),
        ("day", "24.11.2026"),
        ("guests", "seven"),
        ("guests", "\u0667"),
        ("guests", "9" * 5000),
        ("done", "1"),
        ("tags", "a\nb"),
    ],
)
def test_a_filter_that_no_value_could_match_is_reported(name: str, text: str) -> None:
    """With the sentence that says what the values are."""
    with pytest.raises(ValueError, match=r"This must|Expected"):
        type_of().member(name).sought(text)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"RECORD": record(name=int)}, "RECORD needs `name: Line`"),
        ({"RECORD": record(revision=int)}, "the core owns the member revision"),
        ({"RECORD": record(when=complex)}, "the member when is a"),
        ({"RECORD": msgspec.defstruct("Open", [("name", str)])}, "forbid_unknown_fields"),
        ({"SORTABLE": ("nonsense",)}, "SORTABLE names nonsense, which is no member"),
        ({"SORTABLE": ("tags",)}, "SORTABLE names tags, but a member of kind texts"),
        ({"FILTERABLE": ("notes",)}, "FILTERABLE names notes, but a member of kind paragraphs"),
        ({"SEARCHED": ("done",)}, "SEARCHED names done, but a member of kind flag"),
        ({"LANES": "name"}, "LANES names name, but a member of kind text"),
        ({"OWNER": "host"}, "OWNER names host, which is no member"),
        ({"OWNER": "name"}, "OWNER names name, which must be in FILTERABLE"),
        ({"DUE": Due("kind")}, "DUE names kind, but a member of kind choice"),
        ({"DUE": Due("day", done="done")}, "DUE names day, which must be in SORTABLE"),
        ({"DUE": Due("day", done="done")}, "DUE names done, which must be in FILTERABLE"),
        ({"PIPELINE": Pipeline(stage="day", won=(), lost=())}, "PIPELINE names day, but a member of kind date"),
        (
            {"PIPELINE": Pipeline(stage="kind", won=("sold",), lost=())},
            "PIPELINE names sold, which is no value",
        ),
        ({"COLUMNS": ("name", "nonsense")}, "COLUMNS names nonsense"),
        ({"REFERENCES": (Reference("owner", "users"),)}, "REFERENCES names owner, which is no member"),
        ({"RECORD": record(q=str), "FILTERABLE": ("q",)}, "FILTERABLE names q, which is a parameter of every list"),
        ({"RECORD": record(view=str), "FILTERABLE": ("view",)}, "FILTERABLE names view, which is a parameter of every"),
        ({"RECORD": record(csrf=str)}, "the forms of pages use the name csrf"),
        (
            {
                "RECORD": msgspec.defstruct(
                    "Colon", [("name", Line), ("a", str)], rename={"a": "a:b"}, forbid_unknown_fields=True
                )
            },
            "the forms of pages use the name a:b",
        ),
        (
            {"RECORD": record(rows=list[Visit])},
            "rows.tags, rows.custom, rows.place, rows.courses: a member of a row is",
        ),
        (
            {"RECORD": msgspec.defstruct("Wrong", [("name", Line), ("year", int, "now")], forbid_unknown_fields=True)},
            "the default of year is none of its values: This must be a whole number.",
        ),
        ({"RECORD": record(odd=dict[str, Line | list[str]])}, "cannot have both in one union"),
    ],
)
def test_a_type_that_does_not_fit_is_reported_where_it_is_defined(members: dict[str, Any], fault: str) -> None:
    """The plugin's author reads what is wrong, before anything is served."""
    with pytest.raises(TypeError) as refused:
        type_of(**members)
    assert fault in str(refused.value)


def test_all_faults_are_reported_together() -> None:
    """Names that are missing are reported with members that do not fit."""
    with pytest.raises(TypeError, match=r"NAME, TITLE, SINGULAR missing; SORTABLE names x.*; COLUMNS names y"):
        type("Bad", (RecordType,), {"RECORD": Visit, "SORTABLE": ("x",), "COLUMNS": ("y",)})

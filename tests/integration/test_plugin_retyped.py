"""A member that has another kind in the next version of a plugin, although its author raised no SCHEMA_VERSION."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contract.box import Box, good
from visitor import Visitor, with_users

BOATS = """
from typing import Annotated, Literal
from msgspec import Meta, Struct
from crm_core.model.record_members import Amount, Currency, Day, Line, Moment, RecordId, Tags
from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import Due, Pipeline, RecordType, Reference


class Part(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line


class Boat(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    mark: Line | None = None
    words: Tags = []
    owner: Line | None = None
    done: bool = False
    stage: Literal["new", "won"] = "new"
    customer_id: RecordId | None = None


class Boats(RecordType):
    NAME, TITLE, SINGULAR, RECORD = "boats", "Boats", "Boat", Boat
    SORTABLE, SEARCHED, COLUMNS = ("mark",), ("name", "words"), ("name", "mark", "words")
    FILTERABLE, OWNER, LANES = ("mark", "owner", "done", "stage"), "owner", "stage"
    REFERENCES = (Reference("customer_id", "customers"),)


@hookimpl
def crm_register_record_types():
    return [Boats()]
"""
LINE = "mark: Line | None"
DUE = '\n    DUE = Due("mark", "done")\n    PIPELINE = Pipeline(stage="stage", won=("won",), lost=(), closes_on="mark")'
TAGS_TO_TEXT = [("words: Tags = []", "words: Line | None = None")]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder / "fleet.py"


@pytest.fixture
def box(tmp_path: Path, plugin: Path) -> Iterator[Box]:
    plugin.write_text(BOATS)
    made = with_users(Box(tmp_path / "home", settings={"plugins": {"folders": [str(plugin.parent)]}}).create_tenants())
    yield made.start()
    assert made.stop() == 0


@pytest.mark.parametrize(
    ("changes", "cannot"),
    [
        ([(LINE, "mark: Amount | None"), ('"name", "words"), ("name"', '"name",), ("name"')], ""),
        ([(LINE, "mark: int | None")], "/mark: This must be a whole number or null."),
        ([(LINE, "mark: Day | None"), ('"customers"),)', f'"customers"),){DUE}')], "/mark: This must be a date"),
        ([(LINE, "mark: Moment | None")], ""),
        (
            [(LINE + " = None", "mark: list[Part] = []"), ('("mark",)', "()"), ('("mark", ', "(")],
            "/mark: This must be a list.",
        ),
        (TAGS_TO_TEXT, "/words: This must be text"),
    ],
    ids=["decimal", "integer", "date", "moment", "rows", "texts to text"],
)
def test_it_stays_with_its_records(box: Box, plugin: Path, changes: list[tuple[str, str]], cannot: str) -> None:
    """Pages and API show what is stored, records are archived and corrected, doctor names what cannot be read."""
    features = ["customers.*", "boats.*", "reports.*"]
    box.applied("features", {"plan": {"code": "a", "name": "A", "features": features}})
    boats, headers = f"{box.base()}/boats", box.bearer("boats:read", "boats:write", "boats:delete", "customers:write")
    customer = box.client.post(f"{box.base()}/customers", json={"name": "Ada"}, headers=headers).json()["id"]
    anna = {"name": "Anna", "mark": "HH-12", "words": ["old"], "owner": "admin@engines.example"}
    ids = [
        box.client.post(boats, json={**anna, "customer_id": customer}, headers=headers).json()["id"] for _ in range(2)
    ]
    assert box.stop() == 0
    text = BOATS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    plugin.write_text(text)
    reported = "" if not cannot else box.crm("doctor", "northwind", code=1)
    assert not cannot or "The plugin fleet cannot read 2 records of boats, such as " in reported
    assert cannot in reported
    box.start()
    desk = Visitor(box, "admin")
    with closing(desk.client):
        for path in ("/", "/boats", "/boats/board", "/reports", f"/customers/{customer}", f"/boats/{ids[0]}/edit"):
            desk.get(path)
        assert "old" in desk.get(f"/boats/{ids[0]}")
        assert "HH-12" in desk.get(f"/boats/{ids[0]}") or "list[Part]" in text
    assert good(box.client.get(f"{boats}/{ids[0]}", headers=headers))["mark"] == "HH-12"
    assert box.client.patch(f"{boats}/{ids[0]}", json={"name": "Berta"}, headers=headers).status_code in {200, 422}
    corrected = {"name": "Berta", "mark": None, "words": None}
    assert good(box.client.patch(f"{boats}/{ids[0]}", json=corrected, headers=headers))["name"] == "Berta"
    assert box.client.delete(f"{boats}/{ids[1]}", headers=headers).status_code in {200, 204}
    assert len(good(box.client.get(boats, headers=headers))["items"]) == 1

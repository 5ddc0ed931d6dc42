"""How many rows and entries a form may have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta
from werkzeug.datastructures import MultiDict

from crm_core.errors import InvalidRecord
from crm_core.model.presentation import Regional
from crm_core.model.record_members import Custom, Line, Tags
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.formats import Formats, RegionalFormat
from crm_core.web.pages.records.forms import RecordForm
from crm_core.web.pages.records.typed_values import entries_of, separate_texts

FORMATS = Formats(RegionalFormat(Regional()), datetime(2026, 11, 28, 12, tzinfo=UTC))


class Item(msgspec.Struct, forbid_unknown_fields=True):
    text: Line
    count: int = 1


class Order(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    tags: Tags = []
    few: Annotated[list[Item], Meta(max_length=3)] = []
    many: list[Item] = []
    custom: Custom = {}


class Orders(RecordType):
    NAME = "orders"
    TITLE = "Orders"
    SINGULAR = "Order"
    RECORD = Order


ORDERS = Orders()


def sent(*pairs: tuple[str, str], record: dict[str, Any] | None = None, name: str = "few", rows: int = 0) -> RecordForm:
    """The form as a browser sends it with so many filled rows."""
    fields = [("name", "A"), *pairs]
    for at in range(rows):
        fields += [(name, str(at)), (f"{name}.{at}.text", f"x{at}"), (f"{name}.{at}.count", "1")]
    form = RecordForm.of(ORDERS, record, FORMATS) if record else RecordForm.blank(ORDERS, FORMATS)
    return form.sent(MultiDict(fields))


def shown(form: RecordForm, name: str = "few") -> int:
    return next(len(group.rows) for group in form.rows() if group.name == name)


def refused(form: RecordForm) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRecord) as error:
        form.patch()
    return [(finding.pointer, finding.message) for finding in error.value.errors]


def test_a_repeated_row_counts_once() -> None:
    """The number of a row that comes again adds nothing."""
    form = sent(("few.0.text", "x"), *[("few", "0")] * 5000)
    assert [row["text"] for row in form.patch()["few"]] == ["x"]
    assert shown(form) == 1


@pytest.mark.parametrize(("name", "most"), [("few", 3), ("many", 100)])
def test_too_many_rows_are_one_error(name: str, most: int) -> None:
    """It says how many there can be; the page shows one more than that, even if each row is wrong."""
    assert len(sent(name=name, rows=most).patch()[name]) == most
    form = sent(name=name, rows=most + 400)
    assert refused(form) == [(f"/{name}", f"There can be at most {most} rows. Remove some.")]
    assert shown(form, name) == most + 1
    blank = sent(*[(name, str(at)) for at in range(5000)])
    assert refused(blank) == [(f"/{name}", f"There can be at most {most} rows. Remove some.")]


def test_blank_rows_are_added_up_to_the_first_excess_one() -> None:
    """The button for another row adds no row to too many."""
    assert [shown(sent(("form:add", "few"), rows=rows)) for rows in (2, 3, 4, 9)] == [3, 4, 4, 4]


def test_as_many_rows_as_are_stored_may_be_sent() -> None:
    """A record that another system gave more rows than forms have is edited without losing any."""
    rows = [{"text": f"x{at}", "count": 1} for at in range(150)]
    form = sent(record={"name": "A", "many": rows}, name="many", rows=150)
    assert form.patch() == {}
    assert refused(sent(record={"name": "A", "many": rows}, name="many", rows=151)) == [
        ("/many", "There can be at most 150 rows. Remove some.")
    ]


def test_too_many_entries_are_one_error() -> None:
    """Those up to the first excess one are shown again."""
    pairs = [pair for at in range(5000) for pair in (("custom.key", f"k{at}"), ("custom.value", "x"))]
    form = sent(*pairs)
    assert refused(form) == [("/custom", "There can be at most 100 rows. Remove some.")]
    assert len(entries_of(form.values["custom"])) == 101


def test_forged_texts_with_too_many_rows_count_as_blank() -> None:
    """An address, or the hidden fields of a conflict, bring no more rows than a form may have."""
    form = RecordForm.blank(ORDERS, FORMATS)
    forged = {
        "few": "[{},{},{},{}]",
        "many": "[{}]",
        "custom": msgspec.json.encode(dict.fromkeys(map(str, range(101)), "")).decode(),
    }
    assert {name: form.known(forged)[name] for name in forged} == {"few": "", "many": "[{}]", "custom": ""}


def test_texts_between_commas_are_read_once_each() -> None:
    """One that contains commas itself stays whole."""
    assert separate_texts("a, b, c, ,d", ["b, c"]) == ["a", "b, c", "d"]
    assert separate_texts("a," * 200_000, []) == ["a"] * 200_000

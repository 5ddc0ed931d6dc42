from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from crm_core.model.spreadsheet import cell, line, text_of
from crm_core.records.export import as_csv, as_ndjson
from records_world import World, unchanged


async def sheet(world: World, **parameters: str) -> list[dict[str, Any]]:
    pages = await world.records.reads.export(world.access(), parameters, unchanged)
    text = b"".join([part async for part in as_csv(world.records.shapes["customers"], pages)]).decode()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (-5, "-5"),
        (1.5, "1.5"),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("+49 30 1", "'+49 30 1"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("'=1", "''=1"),
        ("'quoted", "'quoted"),
        ({"a": [1]}, '{"a":[1]}'),
    ],
)
def test_a_cell_is_shown_and_never_run(value: Any, shown: str) -> None:
    """Texts that a spreadsheet would run as a formula begin with an apostrophe; numbers stay numbers."""
    assert cell(value) == shown
    if isinstance(value, str):
        assert text_of(shown) == value


def test_a_line_is_quoted_where_it_must_be() -> None:
    """Commas, quotes and line feeds stay inside their cell."""
    assert line(["a,b", 'say "hi"', "x\ny", None]) == b'"a,b","say ""hi""","x\ny",\r\n'


async def test_a_sheet_has_a_column_for_each_member(world: World) -> None:
    """Members of the address have their own; lists are joined; custom fields are JSON; unset is empty."""
    await world.create(name="=cmd", tags=["a", "b"], address={"city": "=B"}, custom={"n": 1})
    await world.create(name="Bob")
    first, second = await sheet(world)
    assert (first["name"], first["address.city"], first["tags"], first["custom"]) == ("'=cmd", "'=B", "a, b", '{"n":1}')
    assert (second["name"], second["address.city"], second["tags"], second["custom"]) == ("Bob", "", "", "")
    assert list(first)[:3] == ["id", "external_id", "name"]
    assert list(first)[-1] == "revision"


async def test_a_phone_comes_back_as_it_went(world: World) -> None:
    """One of digits and dialling signs has no apostrophe; one that could be a formula has, and so has a name."""
    for phone in ("+49 (0) 30/1234-5", "+49 30 1 x5", "+49 30 1;2"):
        await world.create(name="+49 30", phone=phone)
    assert [row["phone"] for row in await sheet(world)] == ["+49 (0) 30/1234-5", "'+49 30 1 x5", "'+49 30 1;2"]
    assert {row["name"] for row in await sheet(world)} == {"'+49 30"}


async def test_a_byte_order_mark_is_first_where_requested(world: World) -> None:
    """Once, before the header."""
    pages = await world.records.reads.export(world.access(), {"bom": "true"}, unchanged)
    text = b"".join([part async for part in as_csv(world.records.shapes["customers"], pages, bom=True)])
    assert text.startswith(b"\xef\xbb\xbfid,external_id,")


async def test_an_empty_selection_is_a_head(world: World) -> None:
    """A sheet without records still names its columns; NDJSON without records is empty."""
    assert await sheet(world, status="active") == []
    pages = await world.records.reads.export(world.access(), {}, unchanged)
    assert [part async for part in as_ndjson(pages)] == []


async def test_lines_are_the_records(world: World) -> None:
    """NDJSON contains each record as its detail shows it."""
    made = await world.create(name="Ada")
    pages = await world.records.reads.export(world.access(), {}, unchanged)
    text = b"".join([part async for part in as_ndjson(pages)])
    assert [json.loads(each) for each in text.splitlines()] == [made]

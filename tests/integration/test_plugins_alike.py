"""Plugins whose classes share their names: each is served as its own."""

from __future__ import annotations

from typing import Any

import pytest

from contract.box import Box, good

RECORDS = '''
"""Two record types of one making, so that their classes share even their qualified names."""
import msgspec
from crm_core.model.record_members import Line
from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import RecordType


def made(name, **members):
    Place = msgspec.defstruct("Place", [(member, Line | None, None) for member in members], forbid_unknown_fields=True)

    class Item(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename={"number": "class", "code": "vat-id"}):
        name: Line
        number: Line | None = None
        code: Line | None = None
        place: Place | None = None

    class Items(RecordType):
        NAME = name
        TITLE = name.title()
        SINGULAR = name.title()
        RECORD = Item
        FILTERABLE = ("class", "vat-id")

    return Items()


@hookimpl
def crm_register_record_types():
    return [made("old-cars", street=1), made("old_cars", harbor=1)]
'''
SECTION = '''
"""A payload type whose section is called Problem, as is a schema of the core."""
import msgspec
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    {member}: str | msgspec.UnsetType = msgspec.UNSET


class Trouble(PayloadType):
    NAME = "{name}"
    SECTION = Problem
    SHOWN = "members"


@hookimpl
def crm_register_payload_types():
    return [Trouble()]
'''
FILES = {
    "lone/cars.py": RECORDS,
    "lone/first.py": SECTION.format(name="first", member="left"),
    "lone/second.py": SECTION.format(name="second", member="right"),
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An instance with all of these plugins."""
    folder = tmp_path_factory.mktemp("box") / "instance"
    box = Box(folder, settings={"plugins": {"folders": ["lone"]}}, files=FILES)
    box.create_tenants().start()
    yield box
    box.stop()


def test_record_types_whose_classes_share_their_names_serve_side_by_side(box: Box) -> None:
    """Each keeps its own members, even if its classes share their names."""
    plan = {"code": "p", "name": "P", "features": ["old-cars.*", "old_cars.*"]}
    box.applied("features", {"plan": plan})
    for name, member in (("old-cars", "street"), ("old_cars", "harbor")):
        writer = box.bearer(f"{name}:read", f"{name}:write")
        data = {"name": "A", "class": "c", "vat-id": "v", "place": {member: "x"}}
        made = box.client.post(f"{box.base()}/{name}", json=data, headers=writer)
        assert made.status_code == 201, made.text
        found = good(box.client.get(f"{box.base()}/{name}?class=c&vat-id=v", headers=writer))["items"]
        assert [item["place"] for item in found] == [{member: "x"}]


def test_the_document_describes_each_under_its_own_name(box: Box) -> None:
    """Valid OpenAPI, in which every reference leads to the schema that it means."""
    from openapi_spec_validator import validate  # a second of imports

    document = good(box.client.get("/openapi.json"))
    validate(document)
    schemas = document["components"]["schemas"]

    def followed(schema: dict[str, Any]) -> dict[str, Any]:
        found = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        assert isinstance(found, dict)
        return found

    base = "/i/{instance}/t/{tenant}/api/v1"
    for name, member in (("old-cars", "street"), ("old_cars", "harbor")):
        made = document["paths"][f"{base}/{name}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        record = followed(made)["properties"]
        assert {"class", "vat-id"} <= set(record)
        (place,) = (one for one in record["place"]["anyOf"] if "$ref" in one)
        assert set(followed(place)["properties"]) == {member}
    pushes = document["paths"][f"{base}/sync/{{payload_type}}"]["post"]["requestBody"]["content"]["application/json"]
    data = {one["properties"]["type"]["enum"][0]: one["properties"]["data"] for one in pushes["schema"]["oneOf"]}
    assert set(followed(data["first"])["properties"]) == {"left"}
    assert set(followed(data["second"])["properties"]) == {"right"}
    assert {"type", "title", "status"} <= set(schemas["Problem"]["properties"])
    assert {"CustomersRecord", "CustomersInput", "DealsPage"} <= set(schemas)

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.box import Box, good, problem

OLD = """
from typing import Annotated
from msgspec import UNSET, Struct, UnsetType
from crm_core.model.record_members import Line
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType, secret
from crm_core.plugin.record_type import RecordType


class Dialer(Struct, forbid_unknown_fields=True):
    caller: str | UnsetType = UNSET
    key: Annotated[str, secret(bound_to=("caller",))] | UnsetType = UNSET


class DialerType(PayloadType):
    NAME, SECTION, SHOWN = "dialer", Dialer, "members"


class Trip(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    miles: int = 0


class Trips(RecordType):
    NAME, TITLE, SINGULAR, RECORD, SORTABLE = "trips", "Trips", "Trip", Trip, ("name", "miles")


@hookimpl
def crm_register_payload_types():
    return [DialerType()]


@hookimpl
def crm_register_record_types():
    return [Trips()]
"""
NEW = (
    OLD.replace('"caller"', '"caller_id"')
    .replace("    caller:", "    caller_id:")
    .replace(
        'SHOWN = "dialer", Dialer, "members"',
        """SHOWN = "dialer", Dialer, "members"
    SCHEMA_VERSION = 2

    def upgrade(self, data, from_version):
        if "caller" in data:
            data["caller_id"] = "+49" + data.pop("caller")
        return data""",
    )
    .replace("miles", "kilometres")
    .replace(
        '("name", "kilometres")',
        """("name", "kilometres")
    SCHEMA_VERSION = 2

    def upgrade(self, data, from_version):
        data["kilometres"] = round(data.pop("miles") * 1.609)
        return data""",
    )
)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder / "dialer.py"


@pytest.fixture
def box(tmp_path: Path, plugin: Path) -> Iterator[Box]:
    plugin.write_text(OLD)
    made = Box(tmp_path / "home", settings={"plugins": {"folders": [str(plugin.parent)]}})
    yield made.create_tenants().start()
    assert made.stop() == 0


def trips(box: Box, method: str = "GET", path: str = "", data: Any = None, **query: str) -> Any:
    headers = box.bearer("trips:read", "trips:write")
    return box.client.request(method, f"{box.base()}/trips{path}", json=data, params=query, headers=headers)


def test_a_type_is_upgraded_over_stored_data_and_taken_back(box: Box, plugin: Path) -> None:
    """Release, next release, and back: each reads what it can, nothing is lost, and the next one reads all again."""

    def install(text: str) -> None:
        assert box.stop() == 0
        plugin.write_text(text)
        box.start()

    box.applied("features", {"plan": {"code": "a", "name": "A", "features": ["trips.*"]}})
    box.applied("dialer", {"caller": "30123", "key": "not-a-real-key"})
    id_ = trips(box, "POST", data={"name": "Bornholm", "miles": 100}).json()["id"]

    install(NEW)
    assert box.bootstrap()["dialer"] == {"caller_id": "+4930123", "key": {"set": True}}
    (found,) = good(trips(box, **{"kilometres.gte": "161"}))["items"]
    assert (found["id"], found["kilometres"], found["revision"]) == (id_, 161, 1)
    assert box.health()["status"] == "ok"
    second = trips(box, "POST", data={"name": "Oslo", "kilometres": 700}).json()["id"]

    install(OLD)
    assert box.bootstrap()["dialer"] == {"caller": "30123", "key": {"set": True}}, "no push stored another"
    listed = {record["id"] for record in good(trips(box))["items"]}
    assert listed == {id_, second}, "what this release cannot read is there"
    assert [one["id"] for one in good(trips(box, **{"miles.gte": "0"}))["items"]] == [id_], "and found by no comparison"
    box.crm("tenant", "fold", "northwind")

    install(NEW)
    stored = {record["name"]: record["kilometres"] for record in good(trips(box, sort="kilometres"))["items"]}
    assert stored == {"Bornholm": 161, "Oslo": 700}
    box.applied("dialer", {"caller_id": "+49999", "key": "not-a-real-key"})

    install(OLD)
    assert box.health()["status"] == "degraded"
    assert "dialer" in box.health()["reasons"][0]
    assert not box.bootstrap()["dialer"]
    merged = box.push("dialer", {"caller": "30999"}, envelope={"strategy": "merge"})
    assert problem(merged, 422, "invalid_payload")["errors"][0]["code"] == "section_unreadable"
    box.applied("dialer", {"caller": "30999"})
    assert box.bootstrap()["dialer"] == {"caller": "30999"}

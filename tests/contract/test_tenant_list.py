"""The list of tenants for operators: the health of each, of closed ones too, filters, pages and who may read it."""

from __future__ import annotations

from typing import Any

import pytest

from contract.box import BRANDING, Box, good, problem, roster_key
from contract.conftest import Boxes

MEMBERS = ("tenant", "status", "reasons", "expected_key", "last_success", "revision")


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with one open tenant at most, with a tenant in each state."""
    tenants: dict[str, Any] = {
        "keyless": {"keys": [roster_key("keyless", 1, not_after="2020-01-01T00:00:00Z")]},
        "northwind": {"keys": [roster_key()]},
        "off": {"sync": "disabled", "keys": [roster_key("off", 1)]},
        "silent": {"keys": [roster_key("silent", 1)], "expect_every": "1h"},
    }
    box = boxes(tenants=tenants, settings={"storage": {"backend": "tinydb", "max_open": 1}})
    box.applied("branding", BRANDING)
    return box


def listed(box: Box, query: str = "") -> dict[str, Any]:
    """The rows of a page by tenant."""
    return {row["tenant"]: row for row in good(box.client.get(f"/-/tenants{query}"))["items"]}


def test_each_tenant_has_its_health(box: Box) -> None:
    """A row says what the tenant's health says, by name, whether the tenant is open or closed."""
    rows = listed(box)
    assert list(rows) == ["keyless", "northwind", "off", "silent"]
    assert {name: row["status"] for name, row in rows.items()} == {
        "keyless": "degraded", "northwind": "ok", "off": "disabled", "silent": "stale",
    }  # fmt: skip
    for _ in range(2):
        for name, row in listed(box).items():
            health = {**box.health(name), "revision": 1 if name == "northwind" else 0}
            assert row == {member: health[member] for member in MEMBERS}
    assert rows["northwind"]["last_success"]["type"] == "branding"


def test_what_a_closed_section_names_is_judged_by_the_catalog_of_now(boxes: Boxes) -> None:
    """A module that leaves the catalog shows in the rows of closed tenants as in their health."""
    modules = "modules: {fleet: {title: Fleet, features: [fleet.view]}}\n"
    box = boxes(files={"modules.yaml": modules})
    box.applied("features", {"overrides": {"fleet.view": True}})
    box.stop()
    (box.config / "modules.yaml").write_text("modules: {}\n")
    box.start()
    row = listed(box)["northwind"]
    assert (row["status"], "`fleet`" in row["reasons"][0]) == ("degraded", True)
    assert row["reasons"] == box.health()["reasons"]


def test_pages_have_each_tenant_once(box: Box) -> None:
    """Cursors lead through all of them, also through those with one status; none is of another list."""
    seen, cursor = [], ""
    while True:
        page = good(box.client.get(f"/-/tenants?limit=1{cursor}"))
        seen += [row["tenant"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["keyless", "northwind", "off", "silent"]
    assert list(listed(box, "?status=stale&limit=1")) == ["silent"]
    assert listed(box, "?status=ok").keys() == {"northwind"}
    problem(box.client.get(f"/-/tenants?status=ok{cursor}"), 400, "invalid_cursor")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_parameter"),
        ("limit=501", "invalid_parameter"),
        ("limit=x", "invalid_parameter"),
        ("status=fine", "invalid_parameter"),
        ("status=ok&status=ok", "invalid_parameter"),
        ("cursor=x", "invalid_cursor"),
        ("tenant=northwind", "unknown_parameter"),
    ],
)
def test_wrong_parameters_are_refused(box: Box, query: str, code: str) -> None:
    """Each names the parameter."""
    problem(box.client.get(f"/-/tenants?{query}"), 400, code)


@pytest.mark.parametrize("path", ["/-/tenants", "/-/plugins", "/metrics"])
def test_a_foreign_host_finds_nothing(box: Box, path: str) -> None:
    """An operator's browser that a page of another site leads here, by a name that it resolves to us, reads nothing."""
    for host in ("rebound.example.com", "localhost.example.com", "crm", "", "[::1", "127.0.0.1.example.com"):
        problem(box.client.get(path, headers={"Host": host}), 404, "not_found")
    for host in ("127.0.0.1", "[::1]:8000", "localhost:1", "LOCALHOST", "192.0.2.7"):
        assert box.client.get(path, headers={"Host": host}).status_code == 200


def test_a_foreign_host_reads_no_names(box: Box) -> None:
    """Readiness is for everyone; what is wrong, and with which tenants, is for operators under our own names."""
    assert "tenants" in box.client.get("/readyz").json()
    stranger = box.client.get("/readyz", headers={"Host": "rebound.example.com"})
    assert (stranger.status_code, set(stranger.json())) == (200, {"status", "instance", "storage_up"})


def test_the_public_host_finds_it(boxes: Boxes) -> None:
    """A monitor may use the instance's public name, if its address is an operator's."""
    box = boxes(settings={"public_url": "https://crm.example.com"})
    assert box.client.get("/-/tenants", headers={"Host": "crm.example.com"}).status_code == 200


def test_strangers_find_nothing(boxes: Boxes) -> None:
    """For anyone but an operator the list is not there, with any parameters."""
    box = boxes(settings={"operators": ["10.0.0.0/8"]})
    for query in ("", "?limit=0", "?x=1"):
        problem(box.client.get(f"/-/tenants{query}"), 404, "not_found")

"""Modules and features: what a push may set, and its effect."""

from __future__ import annotations

from typing import Any

import pytest

from contract.box import PLAN, Box, pointers, problem
from contract.conftest import Boxes

CATALOG = """
modules:
  fleet: {title: Fleet, features: [fleet.view, fleet.drive], requires: [deals], group: sales, icon: truck, order: 9000}
  shop: {title: Shop, features: [shop.view], group: web}
"""


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance that adds two modules, one of them in the blocked group."""
    return boxes(files={"modules.yaml": CATALOG})


def modules(box: Box) -> dict[str, dict[str, Any]]:
    """Bootstrap's modules by name."""
    return {one["module"]: one for one in box.bootstrap()["modules"]}


def reasons(box: Box) -> dict[str, str | None]:
    """The reason why each module is unavailable; None if it is available."""
    return {name: one["reason"] for name, one in modules(box).items()}


def plan(*features: str) -> dict[str, Any]:
    """A plan of these features."""
    return {"code": "p", "name": "P", "features": list(features)}


def test_without_a_plan_the_default_plan_applies(box: Box) -> None:
    """Customers and tasks are available; every other module has the reason why it is not."""
    answer = box.applied("features", {})
    assert reasons(box) == {
        "customers": None,
        "deals": "not_in_plan",
        "tasks": None,
        "reports": "not_in_plan",
        "website": "not_in_plan",
        "landing_pages": "not_in_plan",
        "fleet": "not_in_plan",
        "shop": "not_in_plan",
    }
    assert answer["modules"] == {name: one["state"] for name, one in modules(box).items()}


def test_a_module_needs_its_view_key_and_all_it_requires(box: Box) -> None:
    """A module that requires an unavailable one names it, along the chain."""
    box.applied("features", {"plan": plan("deals.*", "fleet.*")})
    assert {name: reasons(box)[name] for name in ("customers", "deals", "fleet")} == {
        "customers": "not_in_plan",
        "deals": "requires:customers",
        "fleet": "requires:deals",
    }
    box.applied("features", {"plan": plan("customers.create", "deals.*")})
    assert reasons(box)["customers"] == "not_in_plan"
    box.applied("features", {"plan": plan("customers.*", "deals.*", "fleet.view")})
    assert {reasons(box)[name] for name in ("customers", "deals", "fleet")} == {None}
    box.applied("features", {"plan": plan("customers.*", "deals.*"), "modules": {"customers": {"enabled": False}}})
    assert reasons(box)["customers"] == "disabled"
    assert reasons(box)["deals"] == "requires:customers"


def test_overrides_give_and_take(box: Box) -> None:
    """Granted are the plan and overrides that are true, without those that are false."""
    data = {"plan": plan("customers.*", "tasks.*"), "overrides": {"deals.view": True, "tasks.export": False}}
    box.applied("features", data)
    scopes = [f"{name}:{access}" for name in ("customers", "deals", "tasks") for access in ("read", "write")]
    shown = box.client.get(f"{box.base()}/bootstrap", headers=box.bearer(*scopes)).json()
    assert shown["features"] == sorted(
        [f"customers.{action}" for action in ("view", "create", "update", "export")]
        + ["deals.view"]
        + [f"tasks.{action}" for action in ("view", "create", "update")]
    )
    by_name = {one["module"]: one for one in shown["modules"]}
    assert by_name["deals"]["features"] == ["deals.view"]
    assert by_name["deals"]["routes"]
    assert by_name["reports"]["features"] == by_name["reports"]["routes"] == []


def test_a_push_may_name_order_and_draw_a_module(box: Box) -> None:
    """Title, icon and order of the push replace those of the catalog."""
    box.applied("features", {"modules": {"tasks": {"title": "To do", "icon": "check", "order": 0}}})
    listed = box.bootstrap()["modules"]
    assert {name: listed[0][name] for name in ("module", "title", "icon", "order")} == {
        "module": "tasks",
        "title": "To do",
        "icon": "check",
        "order": 0,
    }
    assert (listed[-1]["module"], listed[-1]["title"], listed[-1]["icon"]) == ("fleet", "Fleet", "truck")


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"plan": {"code": "x", "features": ["tasks.*", "website.*"]}}, "/data/plan/features/1"),
        ({"overrides": {"landing_pages.view": True}}, "/data/overrides/landing_pages.view"),
        ({"overrides": {"website.view": False}}, "/data/overrides/website.view"),
        ({"modules": {"website": {"title": "W"}}}, "/data/modules/website"),
        ({"modules": {"shop": {"enabled": False}}}, "/data/modules/shop"),
        ({"roles": {"agent": {"deny": ["website.edit"]}}}, "/data/roles/agent/deny/0"),
        ({"roles": {"agent": {"grant": ["shop.*"]}}}, "/data/roles/agent/grant/0"),
    ],
)
def test_a_push_that_names_a_blocked_module_in_any_way_is_refused(box: Box, data: dict[str, Any], pointer: str) -> None:
    """A push cannot grant, enable or disable a module that is blocked by name or group."""
    refusal = problem(box.push("features", data), 403, "module_blocked")
    assert pointers(refusal) == {pointer}


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"plan": {"code": "x", "features": ["ships.*"]}}, "/data/plan/features/0"),
        ({"overrides": {"ships.view": True}}, "/data/overrides/ships.view"),
        ({"modules": {"ships": {}}}, "/data/modules/ships"),
        ({"roles": {"agent": {"grant": ["ships.view"]}}}, "/data/roles/agent/grant/0"),
    ],
)
def test_an_unknown_module_is_unsupported(box: Box, data: dict[str, Any], pointer: str) -> None:
    """An unknown module is refused anywhere in the payload."""
    assert pointers(problem(box.push("features", data), 422, "module_unsupported")) == {pointer}


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"plan": {"code": "x", "features": ["tasks.fly"]}}, "/data/plan/features/0"),
        ({"plan": {"code": "x", "features": ["*.view"]}}, "/data/plan/features/0"),
        ({"overrides": {"tasks.*": True}}, "/data/overrides/tasks.*"),
        ({"overrides": {"tasks.fly": True}}, "/data/overrides/tasks.fly"),
        ({"overrides": {"tasks.view": "yes"}}, "/data/overrides/tasks.view"),
        ({"roles": {"pilot": {"grant": ["tasks.view"]}}}, "/data/roles/pilot"),
        ({"roles": {"super_admin": {"deny": ["tasks.view"]}}}, "/data/roles/super_admin"),
        ({"limits": {"customers": -1}}, "/data/limits/customers"),
        ({"limits": {"ships": 1}}, "/data/limits/ships"),
        ({"subscription": {"state": "paused"}}, "/data/subscription/state"),
        ({"subscription": {"state": "trial", "ends_at": "2027-02-30T00:00:00Z"}}, "/data/subscription/ends_at"),
    ],
)
def test_what_does_not_fit_is_named(box: Box, data: dict[str, Any], pointer: str) -> None:
    """Unknown keys of known modules, unknown roles and limits, an overlay of super_admin."""
    assert pointers(problem(box.push("features", data), 422, "invalid_payload")) == {pointer}


def test_a_blocked_module_follows_the_local_plan_alone(boxes: Boxes) -> None:
    """A blocked module keeps the grants of the default plan with any pushed plan."""
    local = "default_plan: {code: l, name: L, features: ['customers.*', 'website.view']}\n"
    box = boxes(files={"modules.yaml": local})
    box.applied("features", {"plan": plan("tasks.*")})
    assert {name for name, reason in reasons(box).items() if reason is None} == {"tasks", "website"}


def test_overrides_without_effect_are_warnings(box: Box) -> None:
    """An override that repeats the plan, or cannot take effect, is a warning; the push is applied."""
    data = {
        "plan": plan("tasks.*", "deals.create"),
        "overrides": {"tasks.view": True, "reports.view": False, "deals.view": True, "customers.view": False},
    }
    answer = box.applied("features", data)
    warned = {warning["pointer"]: warning["code"] for warning in answer["warnings"]}
    assert warned == dict.fromkeys((f"/data/overrides/{key}" for key in data["overrides"]), "no_effect")
    assert all(warning.keys() == {"pointer", "code", "message"} for warning in answer["warnings"])


def test_weak_contrast_is_a_warning(box: Box) -> None:
    """Contrast below WCAG AA is a warning; strong contrast is not."""
    answer = box.applied("branding", {"colors": {"text": "#888888", "background": "#999999"}})
    assert answer["warnings"]
    assert answer["warnings"][0]["pointer"].startswith("/data/colors")
    assert box.applied("branding", {"colors": {"text": "#000000", "background": "#ffffff"}})["warnings"] == []


def test_removing_a_module_in_use_is_a_warning(box: Box) -> None:
    """The records stay; the warning says how many there are."""
    box.applied("features", {"plan": PLAN})
    writer = box.bearer("customers:write", "tasks:write")
    made = box.client.post(f"{box.base()}/tasks", headers=writer, json={"name": "Call back"})
    assert made.status_code == 201, made.text
    preview = box.applied("features", {"plan": plan("customers.*")}, envelope={"mode": "preview"})
    response = box.applied("features", {"plan": plan("customers.*")})
    for answer in (preview, response):
        assert [warning["code"] for warning in answer["warnings"]] == ["module_in_use"]
        assert "tasks" in answer["warnings"][0]["message"]
    assert box.applied("features", {"plan": plan("deals.*")})["warnings"] == []


def test_an_edited_catalog_is_seen_by_the_next_request(box: Box) -> None:
    """Modules follow an edited modules.yaml without a push."""
    box.applied("features", {"plan": plan("customers.*", "fleet.*", "deals.*")})
    assert reasons(box)["fleet"] is None
    etag = box.get("bootstrap").headers["etag"]
    (box.config / "modules.yaml").write_text(CATALOG.replace("requires: [deals]", "requires: [tasks]"))
    box.reload(lambda: reasons(box)["fleet"] == "requires:tasks")
    assert box.get("bootstrap").headers["etag"] != etag
    (box.config / "modules.yaml").write_text(CATALOG)
    box.reload(lambda: reasons(box)["fleet"] is None)

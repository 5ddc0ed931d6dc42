from __future__ import annotations

import httpx

from served import ALL, Instance, problem


async def test_a_push_takes_a_module_away_from_under_a_pager(live: Instance, api: httpx.AsyncClient) -> None:
    """The next page is refused; pushed back, the very cursor continues."""
    customer = (await api.post("customers", json={"name": "Ada"})).json()["id"]
    for number in range(3):
        await api.post("deals", json={"name": f"d{number}", "customer_id": customer})
    first = (await api.get("deals", params={"limit": 2})).json()
    following = {"limit": 2, "cursor": first["next_cursor"]}
    pushed = await live.push("features", {"plan": {"code": "s", "name": "S", "features": ["customers.*"]}})
    assert pushed["modules"]["deals"] == "unavailable"
    problem(await api.get("deals", params=following), 403, "module_unavailable")
    await live.push("features", {"plan": ALL})
    assert [item["name"] for item in (await api.get("deals", params=following)).json()["items"]] == ["d2"]


async def test_a_plan_of_deals_needs_customers(live: Instance, api: httpx.AsyncClient) -> None:
    """A plan that has deals without customers gives neither; the reason names the missing module."""
    await live.push("features", {"plan": {"code": "d", "name": "D", "features": ["deals.*"]}})
    assert problem(await api.get("deals"), 403, "module_unavailable")["reason"] == "requires:customers"
    assert problem(await api.get("customers"), 403, "module_unavailable")["reason"] == "not_in_plan"


async def test_an_override_takes_a_key_and_leaves_the_module(live: Instance) -> None:
    """A manager loses deals.export by an override, and nothing else of deals."""
    await live.push("features", {"plan": ALL, "overrides": {"deals.export": False}})
    async with live.client(await live.user("manager")) as manager:
        problem(await manager.get("deals", headers={"Accept": "text/csv"}), 403, "feature_unavailable")
        assert (await manager.get("deals")).status_code == 200


async def test_no_push_takes_users_from_a_super_admin(live: Instance) -> None:
    """A plan knows no users.*; a super admin still manages users."""
    await live.push("features", {"plan": {"code": "none", "name": "None", "features": []}})
    async with live.client(await live.user("super_admin")) as ruler:
        assert (await ruler.get("users")).status_code == 200
        problem(await ruler.get("customers"), 403, "module_unavailable")


async def test_roles_overlays_and_assignments_narrow_a_user(live: Instance) -> None:
    """A viewer reads, an overlay's denial wins, an assignment leaves only what it names."""
    async with live.client(await live.user("viewer")) as viewer:
        assert (await viewer.get("customers")).status_code == 200
        problem(await viewer.post("customers", json={"name": "A"}), 403, "permission_denied")
    async with live.client(await live.user("agent", assignment=["customers.*"])) as agent:
        assert (await agent.post("customers", json={"name": "A"})).status_code == 201
        problem(await agent.get("deals"), 403, "permission_denied")
        await live.push("features", {"plan": ALL, "roles": {"agent": {"deny": ["customers.create"]}}})
        problem(await agent.post("customers", json={"name": "A"}), 403, "permission_denied")


async def test_refusals_come_in_one_order(live: Instance) -> None:
    """Scope before module before feature before subscription before what the record says."""
    off = {"modules": {"tasks": {"enabled": False}}, "overrides": {"customers.create": False}}
    await live.push("features", {"plan": ALL, **off, "subscription": {"state": "suspended"}})
    async with live.client(await live.token("customers:read", "tasks:write", "customers:write", "deals:write")) as api:
        problem(await api.get("deals"), 403, "insufficient_scope")
        problem(await api.post("tasks", json={"name": ""}), 403, "module_unavailable")
        problem(await api.post("customers", json={"name": ""}), 403, "feature_unavailable")
        problem(await api.post("deals", json={"name": ""}), 403, "subscription_suspended")
        assert (await api.get("customers")).status_code == 200


async def test_put_and_batch_need_what_they_turn_out_to_do(live: Instance, api: httpx.AsyncClient) -> None:
    """Without create, an upsert of a record that is there goes through and one of a new record does not."""
    await api.put("customers/external/x-1", json={"name": "A"})
    await live.push("features", {"plan": ALL, "overrides": {"customers.create": False}})
    assert (await api.put("customers/external/x-1", json={"name": "B"})).status_code == 200
    problem(await api.put("customers/external/x-2", json={"name": "B"}), 403, "feature_unavailable")
    items = [{"name": "C", "external_id": "x-1"}, {"name": "C", "external_id": "x-2"}]
    results = (await api.post("customers/batch", json={"items": items})).json()["results"]
    assert [result["status"] for result in results] == [200, 403]
    problem(await api.post("customers/batch?atomic=true", json={"items": items}), 403, "feature_unavailable")
    await live.push("features", {"plan": ALL, "overrides": {"customers.create": False, "customers.update": False}})
    problem(await api.put("customers/external/x-1", json={"name": "B"}), 403, "feature_unavailable")
    problem(await api.post("customers/batch", json={"items": items}), 403, "feature_unavailable")

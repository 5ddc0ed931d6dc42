from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from served import SCOPES, Instance, problem


@pytest.fixture
async def admin(live: Instance) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of northwind."""
    async with live.client(await live.user("admin")) as client:
        yield client


async def test_users_are_made_read_and_changed(admin: httpx.AsyncClient) -> None:
    """Create answers 201 with address and tag; detail knows the tag; a patch needs the tag it names."""
    made = await admin.post("users", json={"email": "ada@example.com", "name": "Ada", "role": "agent"})
    assert made.status_code == 201
    user = made.json()
    assert user == {
        "id": user["id"],
        "email": "ada@example.com",
        "name": "Ada",
        "role": "agent",
        "assignment": None,
        "disabled": False,
        "revision": 1,
    }
    where = made.headers["location"]
    assert where == f"/i/eu1/t/northwind/api/v1/users/{user['id']}"
    one = await admin.get(f"users/{user['id']}")
    assert (one.json(), one.headers["etag"]) == (user, made.headers["etag"])
    assert (await admin.get(f"users/{user['id']}", headers={"If-None-Match": one.headers["etag"]})).status_code == 304
    tag = {"If-Match": one.headers["etag"], "Content-Type": "application/merge-patch+json"}
    changed = await admin.patch(
        f"users/{user['id']}", content=b'{"assignment": ["deals.*"], "name": null}', headers=tag
    )
    assert changed.json() == user | {"assignment": ["deals.*"], "name": None, "revision": 2}
    problem(await admin.patch(f"users/{user['id']}", content=b"{}", headers=tag), 412, "revision_mismatch")
    weak = {"If-Match": f"W/{changed.headers['etag']}"}
    problem(await admin.patch(f"users/{user['id']}", json={}, headers=weak), 412, "revision_mismatch")
    assert (await admin.patch(f"users/{user['id']}", json={}, headers={"If-Match": "*"})).json()["revision"] == 2


async def test_an_address_with_an_internationalised_domain(live: Instance, admin: httpx.AsyncClient) -> None:
    """It is stored as written, accepted in every form of it, and signs in in each."""
    written, password = "Post@K\u00f6ln-Reisen.example", "correct horse battery"
    made = await admin.post("users", json={"email": written, "role": "agent", "password": password})
    assert (made.status_code, made.json()["email"]) == (201, written)
    forms = ("post@k\u00d6ln-reisen.example", "post@ko\u0308ln-reisen.example", "POST@XN--KLN-REISEN-ECB.example")
    for form in forms:
        taken = problem(await admin.post("users", json={"email": form, "role": "agent"}), 422, "invalid_record")
        assert [error["code"] for error in taken["errors"]] == ["taken"]
        signed_in = await admin.post("auth/login", json={"email": form, "password": password})
        assert signed_in.status_code == 200
    invalid = problem(
        await admin.post("users", json={"email": "a@\u2764.example", "role": "agent"}), 422, "invalid_record"
    )
    assert invalid["errors"][0]["pointer"] == "/email"


async def test_a_refusal_lists_every_error(admin: httpx.AsyncClient) -> None:
    """A 422 names each place; no answer contains a password."""
    body = {"email": "no", "role": "unknown", "assignment": ["x.*"], "password": "short", "revision": 1}
    refusal = problem(await admin.post("users", json=body), 422, "invalid_record")
    assert {error["pointer"] for error in refusal["errors"]} == {
        "/email",
        "/role",
        "/assignment/0",
        "/password",
        "/revision",
    }
    taken = {"email": "ADA@example.com", "role": "agent", "password": "a long password"}
    made = await admin.post("users", json=taken)
    assert "long password" not in made.text
    assert problem(await admin.post("users", json=taken), 422, "invalid_record")["errors"][0]["code"] == "taken"


async def test_missing_and_foreign_ids_look_alike(live: Instance, admin: httpx.AsyncClient) -> None:
    """A user of another tenant is a 404 with the very body of one that never was."""
    foreign = await live.services.users.create("contoso", {"email": "x@example.com", "role": "agent"}, None)
    said = [await admin.get(f"users/{one}") for one in (foreign.user.id, "01a20ff9-7dcd-7456-a1e2-5f9c4d1e5363", "x")]
    said += [await admin.patch(f"users/{foreign.user.id}", json={"name": "X"})]
    bodies = [{**problem(one, 404, "not_found"), "request_id": ""} for one in said]
    assert all(body == bodies[0] for body in bodies)


async def test_lists_page_filter_and_search(live: Instance, admin: httpx.AsyncClient) -> None:
    """Each user is seen once while one pages; filters and words narrow; cursors are bound to their list."""
    for number in range(7):
        role = "agent" if number % 2 else "viewer"
        await admin.post("users", json={"email": f"p{number}@x.de", "name": f"Person {number}", "role": role})
    seen: list[str] = []
    address = "users?limit=3&sort=-email&total=true"
    while address:
        page = await admin.get(address)
        listed = page.json()
        seen += [item["email"] for item in listed["items"]]
        assert listed["total"] == 8
        following = page.links.get("next", {}).get("url")
        assert bool(following) is bool(listed["next_cursor"])
        address = live.url + following if following else ""
    assert len(seen) == 8
    assert seen == sorted(seen, reverse=True)
    found = (await admin.get("users", params={"q": "pers 3"})).json()
    assert [item["email"] for item in found["items"]] == ["p3@x.de"]
    assert found["total"] is None
    assert len((await admin.get("users?role=agent&disabled=false")).json()["items"]) == 3
    cursor = (await admin.get("users?limit=1")).json()["next_cursor"]
    for query in (f"limit=1&sort=email&cursor={cursor}", f"cursor={cursor[:-1]}", "cursor="):
        problem(await admin.get(f"users?{query}"), 400, "invalid_cursor")
    for query in ("limit=0", "limit=201", "sort=password", "disabled=1", "total=yes"):
        problem(await admin.get(f"users?{query}"), 400, "invalid_parameter")
    problem(await admin.get("users?colour=red"), 400, "unknown_parameter")


async def test_only_those_who_manage_users_may(live: Instance) -> None:
    """Other roles lack the key, tokens the kind of credential, regardless of their scopes."""
    for role in ("manager", "agent", "viewer"):
        async with live.client(await live.user(role)) as client:
            problem(await client.get("users"), 403, "permission_denied")
            problem(await client.post("users", content=b"no json"), 403, "permission_denied")
    async with live.client(await live.token(*SCOPES, "sync:admin")) as client:
        problem(await client.get("users"), 403, "insufficient_scope")
        problem(await client.patch("users/x", json={}), 403, "insufficient_scope")
    async with live.client() as client:
        problem(await client.get("users"), 401, "unauthenticated")


async def test_an_admin_does_not_reach_a_super_admin(live: Instance, admin: httpx.AsyncClient) -> None:
    """An admin can neither make nor change one, nor become one; no one can disable the last one."""
    async with live.client(await live.user("super_admin")) as ruler:
        body = {"email": "root@x.de", "role": "super_admin", "password": "a long password"}
        problem(await admin.post("users", json=body), 403, "permission_denied")
        made = (await ruler.post("users", json=body)).json()
        problem(await admin.patch(f"users/{made['id']}", json={"password": "another one"}), 403, "permission_denied")
        refusal = problem(await ruler.patch(f"users/{made['id']}", json={"disabled": True}), 422, "invalid_record")
        assert refusal["errors"][0]["code"] == "last_super_admin"


async def test_rights_follow_the_next_request(live: Instance, admin: httpx.AsyncClient) -> None:
    """A role taken, a user disabled: the very next request of theirs sees it."""
    token = await live.user("agent")
    async with live.client(token) as agent:
        users = (await admin.get("users", params={"role": "agent"})).json()["items"]
        address = f"users/{users[0]['id']}"
        assert (await agent.post("customers", json={"name": "A"})).status_code == 201
        await admin.patch(address, json={"role": "viewer"})
        problem(await agent.post("customers", json={"name": "A"}), 403, "permission_denied")
        assert (await agent.get("customers")).status_code == 200
        await admin.patch(address, json={"disabled": True})
        problem(await agent.get("customers"), 401, "unauthenticated")


async def test_concurrent_creates_keep_within_limits(live: Instance, admin: httpx.AsyncClient) -> None:
    """Of twenty concurrent creates against five free places five go through; the others are 403 limit_reached."""
    await live.push("features", {"limits": {"users": 6}})
    bodies = [{"email": f"u{n}@x.de", "role": "agent"} for n in range(20)]
    answers = await asyncio.gather(*(admin.post("users", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [403] * 15
    for answer in answers:
        if answer.status_code == 403:
            assert problem(answer, 403, "limit_reached")["limit"] == 6

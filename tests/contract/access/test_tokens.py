from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from served import SCOPES, Instance, problem

ROLES = "roles: {clerk: {title: Clerk, grant: ['customers.*', users.manage]}}\n"


@pytest.fixture
async def admin(live: Instance) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of northwind."""
    async with live.client(await live.user("admin")) as client:
        yield client


async def test_a_token_is_shown_once_works_and_is_revoked(live: Instance, admin: httpx.AsyncClient) -> None:
    """201 has the token, its list entry everything but the token and the time of its use; after DELETE it is 401."""
    wanted = {"name": "ERP", "scopes": ["customers:read"], "expires_at": "2199-02-01T01:00:00+01:00"}
    created = await admin.post("tokens", json=wanted)
    assert created.status_code == 201
    assert created.headers["cache-control"] == "no-store"
    token = created.json()
    assert token == {
        "token": token["token"],
        "id": token["id"],
        "scopes": ["customers:read"],
        "expires_at": "2199-02-01T00:00:00.000Z",
    }
    entry = (await admin.get("tokens")).json()["items"][0]
    assert entry.pop("created_by").startswith("user:")
    assert entry == {
        "id": token["id"],
        "name": "ERP",
        "state": "active",
        "scopes": ["customers:read"],
        "created_at": entry["created_at"],
        "expires_at": token["expires_at"],
        "revoked_at": None,
        "last_used_at": None,
    }
    async with live.client(token["token"]) as client:
        assert (await client.get("customers")).status_code == 200
        listed = await admin.get("tokens")
        assert token["token"] not in listed.text
        assert listed.json()["items"][0]["last_used_at"] >= entry["created_at"]
        assert [(await admin.delete(f"tokens/{token['id']}")).status_code for _ in range(2)] == [204, 204]
        problem(await client.get("customers"), 401, "unauthenticated")
    assert (await admin.get("tokens")).json()["items"][0]["state"] == "revoked"


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        ({"scopes": ["customers:read", "customer:read"]}, ["/scopes/1"]),
        ({"scopes": []}, ["/scopes"]),
        ({"name": "ERP"}, ["/scopes"]),
        ({"scopes": "customers:read", "more": 1}, ["/more", "/scopes"]),
        ({"scopes": ["customers:read"], "expires_at": "tomorrow"}, ["/expires_at"]),
        ({"scopes": ["customers:read"], "expires_at": "2020-01-01T00:00:00Z"}, ["/expires_at"]),
        ({"scopes": ["customers:read"], "expires_at": "9999-12-31T23:59:59-12:00"}, ["/expires_at"]),
        ({"scopes": ["customers:read"], "name": "a\nb"}, ["/name"]),
        ([], [""]),
    ],
)
async def test_bad_input_is_refused_with_its_place(admin: httpx.AsyncClient, sent: Any, pointers: list[str]) -> None:
    """Unknown scopes, past and unreadable times and names of several lines are 422 with pointers, and make no token."""
    refusal = problem(await admin.post("tokens", json=sent), 422, "invalid_record")
    assert sorted(error["pointer"] for error in refusal["errors"]) == pointers
    assert (await admin.get("tokens")).json() == {"items": []}


async def test_no_token_makes_lists_or_revokes_tokens(live: Instance, admin: httpx.AsyncClient) -> None:
    """A token with every scope gets 403 insufficient_scope, an agent permission_denied, and an unknown id is 404."""
    async with live.client(await live.token(*SCOPES, "sync:admin")) as client:
        problem(await client.post("tokens", json={"scopes": ["customers:read"]}), 403, "insufficient_scope")
        problem(await client.get("tokens"), 403, "insufficient_scope")
        problem(await client.delete("tokens/x"), 403, "insufficient_scope")
    async with live.client(await live.user("agent")) as client:
        problem(await client.post("tokens", content=b"no json"), 403, "permission_denied")
    problem(await admin.delete("tokens/01a20ff9-7dcd-7456-a1e2-5f9c4d1e5363"), 404, "not_found")


@pytest.mark.parametrize("live", [{"roles.yaml": ROLES}], indirect=True)
async def test_a_scope_for_a_core_key_is_given_and_taken_by_its_owners(
    live: Instance, admin: httpx.AsyncClient
) -> None:
    """A clerk who manages users but has no sync.view neither makes nor revokes a token with sync:read."""
    async with live.client(await live.user("clerk")) as clerk:
        wanted = {"scopes": ["sync:read", 7], "more": 1}
        assert problem(await clerk.post("tokens", json=wanted), 403, "permission_denied")["feature"] == "sync.view"
        made = (await admin.post("tokens", json={"scopes": ["sync:read"]})).json()
        problem(await clerk.delete(f"tokens/{made['id']}"), 403, "permission_denied")
        plain = (await admin.post("tokens", json={"scopes": ["customers:read"]})).json()
        assert (await clerk.delete(f"tokens/{plain['id']}")).status_code == 204
        assert [one["state"] for one in (await clerk.get("tokens")).json()["items"]] == ["active", "revoked"]


async def test_the_tokens_of_a_disabled_user_end(live: Instance, admin: httpx.AsyncClient) -> None:
    """Disabling a user revokes the tokens that the user made, for good."""
    async with live.client(await live.user("admin")) as other:
        made = (await other.post("tokens", json={"scopes": ["customers:read"]})).json()
        remaining = (await admin.post("tokens", json={"scopes": ["customers:read"]})).json()
        users = (await admin.get("users", params={"sort": "-created_at"})).json()["items"]
        address = f"users/{users[0]['id']}"
        assert (await admin.patch(address, json={"disabled": True})).status_code == 200
        problem(await other.get("tokens"), 401, "unauthenticated")
    assert (await admin.patch(address, json={"disabled": False})).status_code == 200
    async with live.client(made["token"]) as client:
        problem(await client.get("customers"), 401, "unauthenticated")
    async with live.client(remaining["token"]) as client:
        assert (await client.get("customers")).status_code == 200

"""The page of API tokens, on the same use cases as the API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest

from plain_http import PLAIN
from served import Instance

ROLES = "roles: {clerk: {title: Clerk, grant: ['customers.*', users.manage]}}\n"
Browser = Callable[..., Any]


class Window:
    """A signed-in browser on the workspace."""

    def __init__(self, live: Instance, client: httpx.AsyncClient, csrf: str) -> None:
        self._root, self._client, self._csrf = f"{live.url}/i/eu1/t/northwind", client, csrf
        self._origin = {"Origin": live.url}

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self._client.get(self._root + path)
        assert answer.status_code == status
        assert answer.headers["cache-control"] == "no-store"
        return answer.text

    async def post(self, path: str, form: Mapping[str, Any], status: int = 200) -> str:
        data = {"csrf": self._csrf, **form}
        answer = await self._client.post(self._root + path, data=data, headers=self._origin)
        assert answer.status_code == status, answer.text[:500]
        assert answer.headers["cache-control"] == "no-store"
        return answer.text


@pytest.fixture
async def window(live: Instance) -> AsyncIterator[Browser]:
    """Signs a user of a role in."""
    opened: list[httpx.AsyncClient] = []

    async def sign_in(role: str) -> Window:
        services = live.services
        data = {"email": f"{role}@example.com", "name": role, "role": role}
        user = await services.users.create("northwind", data, None)
        session = await services.sessions.open("northwind", user, "browser")
        cookies = {"crm_session": services.sessions.cookie("northwind", session)}
        opened.append(httpx.AsyncClient(timeout=30, cookies=cookies, verify=PLAIN))
        return Window(live, opened[-1], services.sessions.csrf_token("northwind", session.id))

    yield sign_in
    for client in opened:
        await client.aclose()


async def test_a_token_is_created_shown_once_used_and_revoked(live: Instance, window: Browser) -> None:
    """The response to the form has the token, no later page does; the list has its use, and revoking asks first."""
    admin = await window("admin")
    assert "No tokens yet" in await admin.get("/tokens")
    page = await admin.post("/tokens", {"name": "ERP", "expires": "90", "scope": ["customers:read", "customers:write"]})
    text = re.findall(r'id="token"[^>]*>(crm_[^<]+)<', page)[0]
    assert "Token ERP is ready" in page
    async with live.client(text) as client:
        assert (await client.get("customers")).status_code == 200
        listed = await admin.get("/tokens")
        assert text not in listed
        assert "customers:write" in listed
        asked = re.findall(r"\?revoke=([0-9a-f-]+)", listed)[0]
        question = await admin.get(f"/tokens?revoke={asked}")
        assert "Revoke ERP?" in question
        assert "It was used" in question
        assert (await client.get("customers")).status_code == 200
        await admin.post(f"/tokens/{asked}/revoke", {}, status=303)
        assert (await client.get("customers")).status_code == 401
    assert "No active tokens" in await admin.get("/tokens")
    ended = await admin.get("/tokens?ended=true")
    assert "Revoked" in ended
    assert "?revoke=" not in ended


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"name": " ", "expires": "", "scope": ["customers:read"]}, "Enter a name."),
        ({"name": "ERP", "expires": ""}, "Choose at least one scope."),
        ({"name": "ERP", "expires": "100000", "scope": ["customers:read"]}, "Choose when it expires."),
        ({"name": "ERP", "expires": "", "scope": ["customers:own"]}, "Unknown scope"),
    ],
)
async def test_an_incomplete_form_keeps_what_was_entered(
    live: Instance, window: Browser, form: dict[str, Any], message: str
) -> None:
    """422 with the reason; name and scopes stay, and no token exists."""
    admin = await window("admin")
    page = await admin.post("/tokens", form, status=422)
    assert message in page
    assert 'value="ERP"' in page or form["name"] == " "
    assert ('value="customers:read" aria-label="Customers: read" checked' in page) is (
        form.get("scope") == ["customers:read"]
    )
    assert await live.services.tokens.list("northwind") == []


@pytest.mark.parametrize("live", [{"roles.yaml": ROLES}], indirect=True)
async def test_no_one_gives_or_revokes_a_right_that_they_lack(live: Instance, window: Browser) -> None:
    """Scopes of core keys that the role lacks are locked with the reason, and a forged form is refused."""
    strong = await live.services.tokens.create("northwind", scopes=("sync:admin",), by=None, name="strong")
    clerk = await window("clerk")
    page = await clerk.get("/tokens")
    assert re.search(r'value="sync:admin" disabled aria-describedby="scopes-h"', page)
    assert re.search(r'value="customers:read" aria-label="Customers: read">', page)
    assert "?revoke=" not in page
    assert "Revoke strong?" not in await clerk.get(f"/tokens?revoke={strong[1].id}")
    refused = await clerk.post("/tokens", {"name": "x", "expires": "", "scope": ["sync:admin"]}, status=403)
    assert "sync:admin needs “Restore revisions”, which your role lacks" in refused
    await clerk.post(f"/tokens/{strong[1].id}/revoke", {}, status=403)
    assert [one.revoked_at for one in await live.services.tokens.list("northwind")] == [None]

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from crm_core.web.callers import COOKIE, CSRF_HEADER
from served import FILES, Instance, instance, problem

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


async def made(live: Instance, **more: Any) -> str:
    """The id of a user with the password of these tests."""
    data = {"email": EMAIL, "role": "super_admin", "password": PASSWORD} | more
    return (await live.services.users.create("northwind", data, None)).user.id


async def login(client: httpx.AsyncClient, **more: str) -> dict[str, Any]:
    """The tokens of a sign-in that must succeed."""
    answer = await client.post("auth/login", json={"email": EMAIL, "password": PASSWORD} | more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    grant: dict[str, Any] = answer.json()
    return grant


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


async def test_a_user_signs_in_refreshes_and_signs_out(live: Instance) -> None:
    """Login gives an access token for fifteen minutes; refreshing gives the next one; logout ends all of it."""
    await made(live)
    async with live.client() as client:
        first = await login(client)
        assert first.keys() == {"access_token", "expires_in", "refresh_token"}
        assert first["expires_in"] == 900
        assert (await client.get("users", headers=bearer(first["access_token"]))).status_code == 200
        answer = await client.post("auth/refresh", json={"refresh_token": first["refresh_token"]})
        second = answer.json()
        assert second.keys() == first.keys()
        out = await client.post("auth/logout", headers=bearer(second["access_token"]))
        assert (out.status_code, out.content) == (204, b"")
        for token in (first["access_token"], second["access_token"]):
            problem(await client.get("users", headers=bearer(token)), 401, "unauthenticated")
        sent = {"refresh_token": second["refresh_token"]}
        problem(await client.post("auth/refresh", json=sent), 401, "unauthenticated")


async def test_a_refresh_token_used_twice_ends_its_family(live: Instance) -> None:
    """The second use is 401 token_reused; the tokens of the first are invalid from then on."""
    await made(live)
    async with live.client() as client:
        first, bystander = await login(client), await login(client)
        second = (await client.post("auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
        for token in (first["refresh_token"], second["refresh_token"]):
            problem(await client.post("auth/refresh", json={"refresh_token": token}), 401, "token_reused")
        problem(await client.get("users", headers=bearer(second["access_token"])), 401, "unauthenticated")
        assert (await client.get("users", headers=bearer(bystander["access_token"]))).status_code == 200


async def test_one_answer_for_every_refused_sign_in(live: Instance) -> None:
    """Wrong password, unknown user, disabled user and another tenant's user get the same body but for the id."""
    await made(live)
    await made(live, email="off@example.com", disabled=True)
    tried = [(EMAIL, "wrong"), ("unknown@example.com", PASSWORD), ("off@example.com", PASSWORD)]
    said = []
    async with live.client() as client, live.client(tenant="contoso") as other:
        for email, password in tried:
            said.append(await client.post("auth/login", json={"email": email, "password": password}))
        said.append(await other.post("auth/login", json={"email": EMAIL, "password": PASSWORD}))
    bodies = [{**problem(one, 401, "invalid_credentials"), "request_id": ""} for one in said]
    assert all(body == bodies[0] for body in bodies)
    assert all(one.headers["www-authenticate"] == "Bearer" for one in said)


async def test_too_many_failures_are_throttled(live: Instance) -> None:
    """The eleventh attempt is 429 with the seconds to wait, whether or not there is such a user."""
    async with live.client() as client:
        for _ in range(10):
            sent = {"email": "unknown@example.com", "password": "wrong"}
            problem(await client.post("auth/login", json=sent), 401, "invalid_credentials")
        late = await client.post("auth/login", json=sent)
        problem(late, 429, "login_throttled")
        assert 0 < int(late.headers["retry-after"]) <= 90


BAD_BODIES = [
    ("auth/login", b"{", 400, "malformed_json"),
    ("auth/login", b"[]", 422, "invalid_record"),
    ("auth/login", b'{"email": 5}', 422, "invalid_record"),
    ("auth/login", b'{"email": "a@b.de", "password": "x", "otp": 1}', 422, "invalid_record"),
    ("auth/login", b'{"email": "a@b.de", "password": "\\u0000"}', 400, "malformed_json"),
    ("auth/login", b'{"email": "a@b.de", "password": "%b"}' % (b"x" * 20_000), 413, "payload_too_large"),
    ("auth/refresh", b'{"refresh_token": "nothing"}', 401, "unauthenticated"),
    ("auth/refresh", b'{"refresh_token": ""}', 401, "unauthenticated"),
    ("auth/refresh", b'{"refresh_token": null}', 422, "invalid_record"),
    ("auth/logout", b"", 401, "unauthenticated"),
    ("auth/login?x=1", b"{}", 400, "unknown_parameter"),
]


async def test_bad_bodies_are_refused(live: Instance) -> None:
    """Each broken request is refused with its own status and code, never with a 500."""
    async with live.client() as client:
        for path, body, status, code in BAD_BODIES:
            answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})
            problem(answer, status, code)
        form = await client.post("auth/login", data={"email": "a", "password": "b"})
        problem(form, 415, "unsupported_media_type")


async def test_credentials_that_are_none_are_refused(live: Instance) -> None:
    """A header without a credential is 401 unauthenticated, regardless of its other contents."""
    async with live.client() as client:
        for header in ("", "Bearer", "Bearer  x", "Basic YTpi", "crm_x", "Bearer crm_x", "Bearer \u00fc"):
            answer = await client.get("users", headers={"Authorization": header.encode()})
            problem(answer, 401, "unauthenticated")


async def test_only_spaces_may_surround_a_credential(live: Instance) -> None:
    """A good token with other white space or signs around it is no credential (RFC 6750, section 2.1)."""
    token = (await live.token()).encode()
    async with live.client() as client:
        assert (await client.get("customers", headers={"Authorization": b"Bearer  " + token})).status_code == 200
        for header in (
            b"Bearer \xa0" + token,
            b"Bearer \x85" + token,
            b"Bearer " + token + b"!",
            b"Bearer " + token + b"=",
        ):
            problem(await client.get("customers", headers={"Authorization": header}), 401, "unauthenticated")


async def test_two_authorization_headers_are_no_credential(live: Instance) -> None:
    """Two tokens are refused, even if one is valid: it is unclear which was meant."""
    token = await live.token()
    async with live.client() as client:
        headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer crm_other")]
        problem(await client.get("customers", headers=headers), 401, "unauthenticated")


async def test_a_token_cannot_sign_out(live: Instance) -> None:
    """Logout is for users; the refusal of a token says what revokes it."""
    async with live.client(await live.token()) as client:
        problem(await client.post("auth/logout"), 403, "insufficient_scope")


class Browser:
    """A browser that is signed in: its cookie, and the CSRF token of its pages."""

    def __init__(self, live: Instance, session: Any, tenant: str = "northwind") -> None:
        sessions = live.services.sessions
        self.cookie = {"Cookie": f"{COOKIE}={sessions.cookie(tenant, session)}"}
        self.csrf = {CSRF_HEADER: sessions.csrf_token(tenant, session.id)}
        self.origin = {"Origin": live.url}


@pytest.fixture
async def browser(live: Instance) -> Browser:
    """A super admin's browser."""
    await made(live)
    signin = live.services.signin
    session = await signin.sign_in("northwind", EMAIL, PASSWORD, source=None, kind="browser")
    return Browser(live, session)


async def test_a_cookie_counts_for_reads(live: Instance, browser: Browser) -> None:
    """GET works with the cookie alone, in its own tenant, until its user signs out."""
    async with live.client() as client, live.client(tenant="contoso") as other:
        assert (await client.get("users", headers=browser.cookie)).status_code == 200
        problem(await other.get("users", headers=browser.cookie), 401, "unauthenticated")
        out = await client.post("auth/logout", headers={**browser.cookie, **browser.csrf, **browser.origin})
        assert out.status_code == 204
        cleared = out.headers["set-cookie"]
        assert cleared.startswith(f"{COOKIE}=;")
        assert "Path=/i/eu1/t/northwind" in cleared
        problem(await client.get("users", headers=browser.cookie), 401, "unauthenticated")


async def test_a_cookie_writes_only_when_its_page_confirms_it(live: Instance, browser: Browser) -> None:
    """Without the CSRF header, or from another origin, a write is 403 csrf_failed and changes nothing."""
    body = {"email": "new@example.com", "role": "agent"}
    other = await live.services.signin.sign_in("northwind", EMAIL, PASSWORD, source=None, kind="browser")
    foreign = Browser(live, other).csrf
    port = live.url.rpartition(":")[2]
    refused = [
        {},
        browser.csrf,
        browser.origin,
        {**browser.origin, **foreign},
        {**browser.origin, CSRF_HEADER: browser.cookie["Cookie"].partition("=")[2]},
        {**browser.csrf, "Origin": "null"},
        {**browser.csrf, "Origin": "https://evil.example"},
        {**browser.csrf, "Origin": f"https://127.0.0.1:{port}"},
        {**browser.csrf, "Origin": "http://127.0.0.1"},
        {**browser.csrf, "Origin": live.url + ".evil.example"},
    ]
    async with live.client() as client:
        for headers in refused:
            answer = await client.post("users", json=body, headers={**browser.cookie, **headers})
            problem(answer, 403, "csrf_failed")
        assert len((await client.get("users", headers=browser.cookie)).json()["items"]) == 1
        good = {**browser.cookie, **browser.csrf, **browser.origin}
        assert (await client.post("users", json=body, headers=good)).status_code == 201


async def test_a_trusted_proxy_says_that_the_browser_came_by_tls(tmp_path: Path) -> None:
    """Behind TLS the origin is https and the cookie Secure, if a trusted proxy says so; no one else is believed."""
    text = FILES["instance.yaml"].format(secret="c2VjcmV0" * 8)
    for trusted in (True, False):
        folder = tmp_path / str(trusted)
        folder.mkdir()
        files = {"instance.yaml": text + f"trusted_proxies: [{'127.0.0.0/8' if trusted else '10.0.0.0/8'}]\n"}
        async with instance(folder, files) as live, live.client() as client:
            await made(live)
            signed_in = await live.services.signin.sign_in("northwind", EMAIL, PASSWORD, source=None, kind="browser")
            browser = Browser(live, signed_in)
            origin = {"Origin": live.url.replace("http:", "https:"), "X-Forwarded-Proto": "https"}
            answer = await client.post("auth/logout", headers={**browser.cookie, **browser.csrf, **origin})
            if trusted:
                assert answer.status_code == 204
                assert {"HttpOnly", "Secure", "SameSite=Lax"} <= set(answer.headers["set-cookie"].split("; "))
            else:
                problem(answer, 403, "csrf_failed")


async def test_a_bearer_credential_counts_more_than_a_cookie(live: Instance, browser: Browser) -> None:
    """With both, the header decides: a bad token is not made good by a cookie."""
    async with live.client("crm_nothing") as client:
        problem(await client.get("users", headers=browser.cookie), 401, "unauthenticated")
    async with live.client(await live.user("super_admin")) as client:
        answer = await client.post("users", json={"email": "new@example.com", "role": "agent"}, headers=browser.cookie)
        assert answer.status_code == 201

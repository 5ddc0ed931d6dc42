from __future__ import annotations

import httpx
import pytest

from served import FILES, Instance, problem

APP = {"Origin": "https://app.example.com"}
SETTINGS = FILES["instance.yaml"].format(secret="c2VjcmV0" * 8) + "allowed_origins: ['https://app.example.com']\n"
SENT = {"Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "Last-Event-ID"}
SEEN = {"ETag", "Location", "Link", "Retry-After", "X-Request-Id", "Idempotent-Replayed"}


def cors(answer: httpx.Response) -> dict[str, str]:
    """The CORS fields of an answer, which must vary by origin."""
    assert "Origin" in answer.headers["vary"].split(", ")
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("live", [{"instance.yaml": SETTINGS}], indirect=True)
async def test_an_allowed_origin_uses_the_api_with_a_token(live: Instance) -> None:
    """Preflights name the path's methods before anyone is identified; answers and refusals can be read by the app."""
    async with live.client(await live.user("admin")) as client:
        ask = {**APP, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match"}
        async with live.client(tenant="unknown") as stranger:
            answer = await stranger.options("customers/01a20ff9-7dcd-7456-a1e2-5f9c4d1e5363", headers=ask)
        assert (answer.status_code, answer.content) == (204, b"")
        allowed = cors(answer)
        assert allowed["access-control-allow-methods"] == "DELETE, GET, HEAD, PATCH"
        assert set(allowed["access-control-allow-headers"].split(", ")) == SENT
        assert (await client.options("nothing", headers=ask)).status_code == 404
        answers = [
            await client.get("bootstrap", headers=APP),
            await client.get("customers/nothing", headers=APP),
            await client.get("customers", headers={**APP, "Authorization": "Bearer no"}),
            await client.get("customers", headers={**APP, "Accept": "text/csv"}),
            await client.post("auth/login", json={"email": "a@b.de", "password": "no"}, headers=APP),
        ]
        assert [one.status_code for one in answers] == [200, 404, 401, 200, 401]
        for one in answers:
            allowed = cors(one)
            assert allowed["access-control-allow-origin"] == APP["Origin"]
            assert set(allowed["access-control-expose-headers"].split(", ")) == SEEN
            assert "access-control-allow-credentials" not in allowed


@pytest.mark.parametrize("live", [{"instance.yaml": SETTINGS}], indirect=True)
async def test_no_other_origin_is_let_in(live: Instance) -> None:
    """Neither null, nor another scheme, port or case, nor a page outside the API; and a session's cookie helps none."""
    async with live.client(await live.user("admin")) as client:
        others = ("null", "http://app.example.com", "https://app.example.com:8443", "https://APP.example.com", "")
        for origin in (*others, "https://app.example.com, https://evil.example"):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            refused = await client.options("customers", headers=headers)
            problem(refused, 405, "method_not_allowed")
            assert cors(refused) == cors(await client.get("bootstrap", headers=headers)) == {}
        twice = [("Origin", APP["Origin"]), ("Origin", "https://evil.example")]
        assert cors(await client.get("bootstrap", headers=twice)) == {}
        for path in ("/healthz", "/openapi.json", "/i/eu1/t/northwind/login", "/i/eu1/docs"):
            outside = await client.get(live.url + path, headers=APP)
            assert not [name for name in outside.headers if name.startswith("access-control-")]
        services, users = live.services, await client.get("users")
        user = await services.users.get("northwind", users.json()["items"][0]["id"])
        cookie = services.sessions.cookie("northwind", await services.sessions.open("northwind", user, "browser"))
        headers = {**APP, "Cookie": f"crm_session={cookie}", "Authorization": ""}
    async with live.client() as browser:
        del headers["Authorization"]
        problem(await browser.post("customers", json={"name": "A"}, headers=headers), 403, "csrf_failed")


async def test_every_answer_of_the_api_varies_by_origin(live: Instance) -> None:
    """Also where no origin is allowed, so that a cache never gives one app's answer to another."""
    async with live.client(await live.token()) as client:
        for answer in (await client.get("customers"), await client.get("nothing"), await client.options("customers")):
            assert cors(answer) == {}


async def test_a_program_never_gets_a_sign_in_page(live: Instance) -> None:
    """A forgotten api or v1, a page's address with a token and a push to a page are problems that say how to go on."""
    token = await live.token()
    async with httpx.AsyncClient(base_url=live.url) as client:
        for path in (
            "/i/eu1/t/northwind/api/customers",
            "/i/eu1/t/northwind/v1/customers",
            "/t/northwind/api/customers",
        ):
            refusal = problem(await client.get(path), 404, "not_found")
            assert refusal["detail"].endswith("Did you mean /i/eu1/t/northwind/api/v1/customers?")
        page = "/i/eu1/t/northwind/customers"
        refusal = problem(await client.get(page, headers={"Authorization": f"Bearer {token}"}), 404, "not_found")
        assert "/i/{instance}/t/{tenant}/api/v1/" in refusal["detail"]
        refusal = problem(await client.post(page, json={}), 405, "method_not_allowed")
        assert "/i/{instance}/t/{tenant}/api/v1/" in refusal["detail"]
        assert (await client.get(page)).status_code == 303


async def test_accept_counts_for_details_as_for_lists(live: Instance) -> None:
    """Media types with weights choose or refuse alike; a refusal is 406 with the types that there are."""
    async with live.client(await live.token()) as client:
        made = (await client.post("customers", json={"name": "A"})).json()
        for path in ("customers", f"customers/{made['id']}", "bootstrap"):
            for accept in ("application/json;q=0.2, text/html", "*/*;q=0.1", "text/html, application/*", "*"):
                answer = await client.get(path, headers={"Accept": accept})
                assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), accept
            for accept in ("text/html", "application/json;q=0", "application/json;q=0, image/*"):
                refusal = problem(await client.get(path, headers={"Accept": accept}), 406, "not_acceptable")
                assert "application/json" in refusal["detail"]


async def test_entity_tags_of_several_lines_are_one_list(live: Instance) -> None:
    """Two If-Match lines count as one, for users too: any of the tags may be the current one."""
    async with live.client(await live.user("admin")) as client:
        address = f"users/{(await client.get('users')).json()['items'][0]['id']}"
        for tags, status in ((('"9"', '"1"'), 200), (('"9"', '"1"'), 412), (('"1", "2"',), 200), (('"1x"', "2"), 412)):
            headers = [("If-Match", tag) for tag in tags]
            answer = await client.patch(address, json={"name": f"A{tags}"}, headers=headers)
            assert answer.status_code == status, (tags, answer.text)

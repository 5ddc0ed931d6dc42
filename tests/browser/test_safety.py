from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import PASSWORD, Desk, People
from contract.box import TENANT, Box

Sit = Callable[..., Desk]
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'-alert(3)-'",
    "{{7*7}}${7*7}<svg/onload=alert(4)>",
)
EVERY = " ".join(HOSTILE)


@pytest.fixture
def hostile(box: Box, api: Api, plain: None) -> dict[str, Any]:
    """Markup in every text that a push or another system can write."""
    box.applied(
        "branding",
        {
            "title": EVERY[:200],
            "sidebar": {"caption": EVERY[:200]},
            "footer": {
                "text": EVERY,
                "links": [{"label": HOSTILE[1], "url": "https://example.com/?q=%22onmouseover=1"}],
            },
            "support": {"phone": HOSTILE[0]},
            "login_message": EVERY,
            "logo_url": "https://127.0.0.1:1/logo.png?%22onerror=alert(5)",
        },
    )
    modules = {"customers": {"title": HOSTILE[1]}}
    box.applied("features", {"plan": {**_ALL, "name": HOSTILE[0]}, "modules": modules})
    customer = api.put(
        "customers", "hostile", name=EVERY[:200], company=HOSTILE[1], tags=[HOSTILE[0], HOSTILE[1]], notes=EVERY,
        owner=HOSTILE[2], address={"city": HOSTILE[3], "line1": HOSTILE[0]}, custom={"x": HOSTILE[1]},
    )  # fmt: skip
    deal = api.put("deals", "hostile", name=HOSTILE[1], customer_id=customer["id"], notes=EVERY, owner=HOSTILE[0])
    task = api.put("tasks", "hostile", name=HOSTILE[3], customer_id=customer["id"], assignee=People.super_admin.email)
    return {"customers": customer["id"], "deals": deal["id"], "tasks": task["id"]}


_ALL = {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}


def test_stored_text_is_text_everywhere(sit: Sit, box: Box, hostile: dict[str, Any]) -> None:
    """No script runs, the policy refuses nothing, no text becomes an element; the text itself is shown."""
    anonymous = sit(who=None)
    anonymous.go("/login")
    expect(anonymous.page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    desk = sit()
    page = desk.page
    paths = ["/", "/customers", "/customers?q=%3Cscript%3Ealert(1)&status=lead", "/deals/board", "/tasks"]
    paths += [f"/{kind}/{record_id}" for kind, record_id in hostile.items()]
    paths += [f"/{kind}/{record_id}/edit" for kind, record_id in hostile.items()]
    paths += ["/users", "/account", "/subscription", "/mail", "/sync", "/sync?id=%3Cb%3E"]
    paths += ["/sync/sections/branding", "/sync/sections/features"]
    for path in paths:
        desk.go(path)
        assert page.locator("main script, img[src=x], svg[onload], [onerror], [onclick]").count() == 0, path
    desk.go(f"/customers/{hostile['customers']}")
    expect(page.locator("[data-live=details]")).to_contain_text("<script>alert(1)</script>")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror=alert(2)>")
    title = page.title()
    assert title.startswith("<script>alert(1)</script>")
    desk.live()
    box.applied("branding", {"title": "<img src=y onerror=alert(6)>", "footer": {"text": EVERY}})
    expect(page.locator(".side .brand")).to_contain_text("<img src=y onerror=alert(6)>")


def test_a_conflict_shows_text_too(sit: Sit, api: Api, hostile: dict[str, Any]) -> None:
    """The comparison of two versions shows markup as text."""
    desk = sit()
    desk.expected.add(409)
    desk.go(f"/customers/{hostile['customers']}/edit")
    desk.page.get_by_label("Company").fill("<b onclick=alert(7)>mine</b>")
    api.put("customers", "hostile", company="<i onclick=alert(8)>theirs</i>")
    desk.page.get_by_role("button", name="Save").click()
    expect(desk.page.locator(".merge")).to_contain_text("<i onclick=alert(8)>theirs</i>")


def test_every_page_has_its_policy(sit: Sit, plain: None) -> None:
    """Every page has the policy, no inline script, style or handler, and must not be framed."""
    desk = sit()
    for path in (
        "/",
        "/customers",
        "/deals/board",
        "/customers/new",
        "/sync",
        "/users",
        "/tokens",
        "/mail",
        "/account",
    ):
        answer = desk.go(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'; img-src 'self' https: data:" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert desk.page.evaluate(INLINE) == [], path


def test_the_cookie_is_out_of_reach(sit: Sit, plain: None) -> None:
    """The session's cookie is HttpOnly and SameSite=Lax, limited to the tenant's path, and new at each sign-in."""
    desk = sit(People.agent, fresh=True)
    [cookie] = [one for one in desk.context.cookies() if one["name"] == "crm_session"]
    assert cookie["httpOnly"] is True
    assert cookie["sameSite"] == "Lax"
    assert cookie["path"].endswith("/t/northwind")
    assert "crm_session" not in desk.page.evaluate("document.cookie")
    desk.context.clear_cookies()
    desk.sign_in(People.agent)
    [again] = [one for one in desk.context.cookies() if one["name"] == "crm_session"]
    assert again["value"] != cookie["value"]


INLINE = """() => [...document.querySelectorAll("*")].filter((one) =>
    one.matches("style, script:not([src])") || one.getAttributeNames().some((name) => /^(style$|on)/.test(name))
).map((one) => one.outerHTML)"""


class Session:
    """The cookies of a browser in an HTTP client, to send requests that no page sends."""

    def __init__(self, desk: Desk) -> None:
        self.root = desk.root
        cookies = {one["name"]: one["value"] for one in desk.context.cookies()}
        self.client = httpx.Client(cookies=cookies)
        self.origin = desk.root.split("/i/")[0]

    def post(self, path: str, data: dict[str, str], origin: str | None) -> httpx.Response:
        headers = {} if origin is None else {"Origin": origin}
        return self.client.post(self.root + path, data=data, headers=headers)


def test_forms_of_other_sites_change_nothing(sit: Sit, api: Api, plain: None) -> None:
    """Without the page's token, or from another origin, forms are refused; GET does not sign out."""
    desk = sit(People.agent)
    record = api.put("customers", "csrf", name="Kept Ltd")
    desk.go(f"/customers/{record['id']}/edit")
    token = desk.page.locator("input[name=csrf]").first.input_value()
    session = Session(desk)
    with session.client:
        for data, origin in (
            ({"csrf": token}, "https://evil.example"),
            ({"csrf": token}, None),
            ({"csrf": "x"}, session.origin),
            ({}, session.origin),
        ):
            for path in (f"/customers/{record['id']}/edit", "/customers/new", "/logout", "/account/password"):
                answer = session.post(path, {"name": "Taken over", "revision": "1", **data}, origin)
                assert answer.status_code == 403, (path, origin)
                assert "csrf_failed" in answer.text
        assert session.client.get(session.root + "/logout", follow_redirects=False).status_code in (404, 405)
    assert api.get("customers", record["id"])["name"] == "Kept Ltd"


def test_sign_in_needs_our_own_form(sit: Sit, plain: None) -> None:
    """Another site cannot sign a visitor in, and signing in leads to no other site or tenant."""
    desk = sit(who=None)
    desk.go("/login?next=https://evil.example/")
    assert desk.page.locator("input[name=next]").input_value() == ""
    for wanted in ("//evil.example", "/i/eu1/t/contoso/", "/i/eu1/t/northwind/\\evil"):
        desk.go(f"/login?next={wanted}")
        assert desk.page.locator("input[name=next]").input_value() == ""
    token = desk.page.locator("input[name=csrf]").first.input_value()
    credentials = {"email": People.agent.email, "password": PASSWORD}
    session = Session(desk)
    with session.client:
        assert session.post("/login", {**credentials, "csrf": token}, "https://evil.example").status_code == 403
        assert session.post("/login", {**credentials, "csrf": "x"}, session.origin).status_code == 403
        assert session.post("/login", {**credentials, "csrf": token}, session.origin).status_code == 303


def test_a_disabled_user_is_signed_out_immediately(sit: Sit, plain: None, signed_in: dict[Any, Any]) -> None:
    """Disabling a user ends the stream of the open page and the session."""
    signed_in.pop((TENANT, People.viewer), None)  # all sessions of the user end, those of later tests too
    viewer, admin = sit(People.viewer, fresh=True), sit(People.admin)
    viewer.go("/account")
    viewer.live()
    admin.go("/users")
    admin.page.get_by_role("link", name=People.viewer.full_name).click()
    admin.page.get_by_role("button", name=re.compile("Disable")).click()
    expect(viewer.page.get_by_role("alert")).to_contain_text("You are signed out")
    viewer.go("/account")
    expect(viewer.page).to_have_url(re.compile("/login"))
    admin.page.get_by_role("button", name=re.compile("^Enable")).click()
    expect(admin.page.locator(".toast")).to_contain_text("can sign in again")

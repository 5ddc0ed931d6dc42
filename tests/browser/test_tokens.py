"""API tokens in a browser: created, shown once, copied, revoked."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from browser.desk import Desk, People


def test_a_token_is_created_and_revoked_by_keyboard_and_pointer(sit: Callable[..., Desk], plain: None) -> None:
    """The token shows once in a region that has no neighbour with it; Keep has the focus before revoking."""
    admin = sit(People.super_admin)
    page, asked = admin.page, list[str]()
    page.on("dialog", lambda dialog: asked.append(dialog.type))
    admin.go("/tokens")
    page.get_by_label("Name (required)").fill("Event desk")
    page.get_by_label("Customers: read").check()
    page.get_by_label("Customers: write").press("Space")
    page.get_by_role("button", name="Create token").click()
    token = page.get_by_role("region", name="The token")
    expect(token).to_contain_text("crm_")
    text = token.inner_text()
    admin.reload()  # asks first, as the token is neither copied nor stored, and creates no other one
    expect(token).to_have_count(0)
    assert asked == ["beforeunload"]
    page.get_by_label("Name (required)").fill("Event team")
    page.get_by_label("Customers: read").check()
    page.get_by_role("button", name="Create token").click()
    expect(token).to_contain_text("crm_")
    page.get_by_role("link", name="I have stored it").click()
    expect(page.get_by_role("rowheader", name="Event team")).to_be_visible()
    assert asked == ["beforeunload"]
    expect(page.get_by_role("rowheader", name="Event desk")).to_have_count(1)
    assert text not in page.content()
    page.get_by_role("link", name="Revoke Event desk").click()
    expect(page.get_by_role("link", name="Keep it")).to_be_focused()
    page.get_by_role("button", name="Revoke Event desk").click()
    expect(page.locator(".toast")).to_contain_text("Event desk is revoked")
    expect(page.get_by_role("rowheader", name="Event desk")).to_have_count(0)
    agent = sit(People.agent)
    agent.go("/tokens", 403)
    expect(agent.page.get_by_text("Your role does not include “Manage users”")).to_be_visible()


def test_a_token_without_scopes_is_refused_where_they_are_chosen(sit: Callable[..., Desk], plain: None) -> None:
    """The reason is between the heading of the choices and the first of them, and their group has the focus."""
    admin = sit(People.super_admin)
    page = admin.page
    admin.go("/tokens")
    page.get_by_label("Name (required)").fill("Event desk")
    admin.expected.add(422)
    page.get_by_role("button", name="Create token").click()
    records = page.get_by_role("group", name="Records")
    expect(records).to_have_accessible_description("Choose at least one scope.")
    expect(records).to_be_focused()
    reason = records.get_by_text("Choose at least one scope.").bounding_box() or {"y": 0}
    first = records.get_by_role("checkbox").first.bounding_box() or {"y": 0}
    assert 0 < reason["y"] < first["y"] < reason["y"] + 150

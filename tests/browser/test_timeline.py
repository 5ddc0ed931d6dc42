from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def test_a_call_is_logged_on_the_record(sit: Sit, api: Api) -> None:
    """A draft survives a reload and becomes a call above the changes; Undo sets the newest change back."""
    made = api.put("customers", "line-1", name="Elbe Rowers", phone="111")
    api.put("customers", "line-1", phone="222", company="Elbe Ltd")
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}")
    page = desk.page
    page.get_by_label("Call", exact=True).check()
    page.get_by_label("Text", exact=True).fill("Wants three boats.")
    page.reload()  # a draft survives
    expect(page.get_by_label("Text", exact=True)).to_have_value("Wants three boats.")
    page.get_by_role("button", name="Add", exact=True).click()
    feed = page.locator(".feed").first
    expect(feed.locator("li").first).to_contain_text("You added: call")
    expect(feed).to_contain_text("222")
    expect(page.get_by_label("Text", exact=True)).to_have_value("")
    desk.shot("timeline")
    assert desk.serious() == []
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-live=details]")).to_contain_text("111")


def test_a_field_is_changed_where_it_is_shown(sit: Sit, api: Api) -> None:
    """Enter saves one field once and Escape leaves it; an error stays with the field, and a conflict is chosen from."""
    made = api.put("customers", "line-2", name="Saale Rowers", phone="111", email="s@saale.example")
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}")
    page, details = desk.page, desk.page.locator("[data-live=details]")
    pen = page.get_by_role("link", name="Change phone")
    pen.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#f-phone")).to_be_focused()
    assert desk.serious() == []
    page.keyboard.type("222")
    page.locator("form.inplace").evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    expect(page.locator(".toast")).to_contain_text("Saved as revision 2")
    expect(pen).to_be_focused()
    assert api.get("customers", made["id"])["phone"] == "222"
    page.get_by_role("link", name="Change email").dblclick()
    desk.expected |= {409, 422}
    details.get_by_label("Email", exact=True).fill("nowhere")
    page.keyboard.press("Enter")
    expect(details.locator(".err")).to_have_count(1)
    expect(details.locator(".err")).to_contain_text("email address")
    page.keyboard.press("Escape")
    expect(details).to_contain_text("s@saale.example")
    expect(page.get_by_role("link", name="Change email")).to_be_focused()
    page.get_by_role("link", name="Change owner").click()
    owner = page.get_by_role("combobox", name="Owner")
    owner.fill("mehmet")
    owner.press("Enter")
    expect(owner).to_have_value(People.manager.full_name)
    owner.press("Enter")
    expect(owner).to_have_count(0)
    expect(details).to_contain_text(People.manager.full_name)
    pen.click()
    expect(page.locator("#f-phone")).to_be_focused()
    api.put("customers", "line-2", phone="333")
    page.locator("#f-phone").fill("444")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".merge")).to_contain_text("333")
    assert api.get("customers", made["id"])["phone"] == "333"

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
    desk.reload()  # a draft survives
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

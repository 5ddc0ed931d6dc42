from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def test_many_records_are_changed_from_the_bar(sit: Sit, api: Api) -> None:
    """A selection survives paging, its bar changes all of it, Undo sets it back, and the pages have no finding."""
    for number in range(30):
        api.put("customers", f"bulk-{number}", name=f"Bulkhead {number:02}", status="lead")
    desk = sit(People.manager)
    page = desk.page
    desk.go("/customers?q=bulkhead&sort=name")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#bulk-bar [role=status]")).to_have_text("25 customers selected")
    page.get_by_label("Select Bulkhead 03").uncheck()
    page.get_by_role("link", name="Next").click()
    page.get_by_label("Select Bulkhead 28").check()
    expect(page.locator("#bulk-bar [role=status]")).to_have_text("25 customers selected")
    page.get_by_role("button", name="Select all 30 customers").click()
    page.get_by_role("button", name="Select only some").click()
    wrong = desk.serious()
    page.locator("#bulk-bar").get_by_role("button", name="Status").click()
    expect(page.get_by_role("heading", name="Change status of 25 customers")).to_be_visible()
    page.get_by_label("Status").select_option("inactive")
    wrong += desk.serious()
    desk.shot("bulk-1280-light")
    page.get_by_role("button", name="Change 25 customers").click()
    expect(page.get_by_role("heading", name="25 customers changed")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("25 customers set back")
    desk.go("/customers?q=bulkhead&status=lead")
    expect(page.get_by_text("30 customers match")).to_be_visible()
    expect(page.locator("#bulk-bar")).to_be_hidden()
    assert wrong == []


def test_a_phone_filters_in_a_sheet_and_saves_a_view(sit: Sit, api: Api) -> None:
    """The sheet counts before it filters, the view is a tab, and nothing is wider than 320 pixels."""
    for number in range(3):
        api.put("customers", f"sheet-{number}", name=f"Sheet {number}", status="inactive", tags=["sheet"])
    desk = sit(People.agent, viewport={"width": 320, "height": 700})
    page = desk.page
    desk.go("/customers")
    page.get_by_role("button", name="Filters").click()
    sheet = page.locator("#sheet")
    sheet.get_by_label("Tag").fill("sheet")
    sheet.get_by_label("Status").select_option("inactive")
    expect(sheet.get_by_role("button", name="Show 3 customers")).to_be_visible()
    wrong = desk.serious()
    desk.shot("list-sheet-320-light")
    sheet.get_by_role("button", name="Show 3 customers").click()
    expect(page).to_have_url(re.compile(r"\?tags=sheet&status=inactive$|\?status=inactive&tags=sheet$"))
    page.get_by_role("button", name="Save as view").click()
    page.get_by_label("Name of the view").fill("Sheets")
    wrong += desk.serious()
    page.get_by_role("button", name="Save view").click()
    expect(page.get_by_role("link", name="Sheets 3")).to_have_attribute("aria-current", "page")
    assert desk.overflow() <= 0
    page.get_by_role("button", name="Remove this view").click()
    expect(page.get_by_role("link", name="Sheets 3")).to_have_count(0)
    assert wrong == []


def test_the_keyboard_stays_on_a_filter(sit: Sit, api: Api) -> None:
    """The page that a filter loads has the focus on it, so arrows reach the next choice, and says what matches."""
    for number in range(2):
        api.put("customers", f"stay-{number}", name=f"Stayfast {number}", status="active")
    desk = sit(People.agent)
    page = desk.page
    page.add_init_script("""addEventListener("load", () => new MutationObserver(([{ target }]) => {
        document.body.dataset.said = target.textContent;
    }).observe(document.querySelector("[data-matches]"), { childList: true }))""")
    desk.go("/customers")
    page.locator("#q").fill("stayfast")
    page.locator("#q").press("Enter")
    page.wait_for_url("**/customers?q=stayfast")
    expect(page.locator("#q")).to_be_focused()
    page.locator("#by-status").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**&status=lead")
    expect(page.locator("#by-status")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**&status=active")
    expect(page.locator("#by-status")).to_be_focused()
    expect(page.locator("body")).to_have_attribute("data-said", "2 customers match")
    desk.go("/customers?q=stayfast")
    expect(page.locator("#by-status")).not_to_be_focused()


def test_the_keyboard_stays_on_the_kinds_of_a_timeline(sit: Sit, api: Api) -> None:
    """So it does where the address has a fragment, to which browsers go without the focus."""
    made = api.put("customers", "stay-0", name="Stayfast 0", status="active")
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}")
    desk.page.locator("#show").focus()
    desk.page.keyboard.press("ArrowDown")
    desk.page.wait_for_url("**/*#timeline")
    expect(desk.page.locator("#show")).to_be_focused()

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from browser.api import Api
from browser.desk import Desk, People

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def test_a_users_whole_way(sit: Sit, api: Api) -> None:
    """A user signs in, creates a customer and a deal, moves it, ticks off a task, searches, edits and signs out."""
    desk = sit(who=None)
    sign_in(desk)
    create_customer(desk.page)
    create_deal(desk.page)
    move_deal(desk)
    api.put("tasks", "t1", name="Call about the option", assignee=People.agent.email, due_on="2026-01-02")
    tick_off_task(desk)
    find_and_edit(desk)
    sign_out(desk)


def sign_in(desk: Desk) -> None:
    page = desk.page
    desk.go("/customers/new")  # not signed in: to the sign-in page, and back
    expect(page).to_have_url(re.compile(r"/login\?next="))
    page.fill("#email", People.agent.email)
    page.fill("#password", "not this one")
    desk.expected.add(401)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The email address or the password is wrong.")
    assert page.input_value("#email") == People.agent.email
    page.fill("#password", "seven sailing boats")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/customers/new")


def create_customer(page: Page) -> None:
    page.get_by_label("Email").fill("not an address")
    page.get_by_label("Notes").fill("Rows twice a week")
    page.get_by_role("button", name="Create customer").click()
    expect(page.get_by_text("2 fields need attention.")).to_be_visible()
    assert page.get_by_label("Notes").input_value() == "Rows twice a week"
    expect(page.locator("[data-errors]")).to_be_focused()
    page.get_by_role("link", name="Name: Enter a name.").click()
    assert page.evaluate("document.activeElement.id") == "f-name"
    page.get_by_label("Name (required)").fill("Wannsee Sculling Club")
    page.get_by_label("Email").fill("club@rowing.example")
    page.get_by_label("Tags").fill("group, vip")
    page.get_by_label("City").fill("Hamburg")
    page.get_by_role("button", name="Create customer").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Wannsee Sculling Club")
    expect(page.locator(".toast")).to_contain_text("Customer created")
    expect(page.locator("[data-live=details]")).to_contain_text("Hamburg")


def create_deal(page: Page) -> None:
    page.get_by_role("link", name="New deal").click()
    expect(page.get_by_label("Customer (required)")).to_have_value("Wannsee Sculling Club")
    page.get_by_label("Name (required)").fill("Autumn camp Bornholm")
    page.get_by_label("Amount").fill("24600.00")
    page.get_by_label("Currency").fill("eur")
    page.get_by_role("button", name="Create deal").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Wannsee Sculling Club")
    expect(page.get_by_role("region", name="Open deals 1 €24,600")).to_contain_text("Autumn camp Bornholm")


def move_deal(desk: Desk) -> None:
    page = desk.page
    desk.go("/deals/board")
    desk.live()
    card = page.locator("[data-card]", has_text="Autumn camp Bornholm")
    card.get_by_role("button", name="Move").click()
    page.get_by_role("button", name="Won", exact=True).click()
    won = page.locator("[data-lane=won]")
    expect(won).to_contain_text("Autumn camp Bornholm")
    expect(page.locator(".toast")).to_contain_text("moved to Won")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator("[data-lane=new]")).to_contain_text("Autumn camp Bornholm")
    page.wait_for_timeout(600)  # the event of this change has come back, and the board was rendered again
    card.drag_to(page.locator("[data-lane=qualified] header"))
    expect(page.locator("[data-lane=qualified]")).to_contain_text("Autumn camp Bornholm")


def tick_off_task(desk: Desk) -> None:
    page = desk.page
    desk.go("/")
    mine = page.get_by_role("checkbox", name="Done: Call about the option")
    expect(page.locator("[data-live=tasks-1]")).to_contain_text("days late")
    mine.check()
    expect(page.locator("[data-live=tasks-1]")).to_contain_text("Today · 0 to do, 1 done")
    expect(mine).to_be_checked()
    page.get_by_role("button", name="Undo: Call about the option").click()
    expect(mine).not_to_be_checked()
    mine.check()


def find_and_edit(desk: Desk) -> None:
    page = desk.page
    desk.go("/customers")
    page.get_by_role("searchbox").fill("sculling")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear filters").click()
    page.get_by_role("link", name="Name", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Name")
    page.get_by_role("searchbox").fill("wannsee")  # records of other tests may fill the first page
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Wannsee Sculling Club").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Phone").fill("+49 40 555 01 77")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("[data-live=details]")).to_contain_text("+49 40 555 01 77")
    expect(page.locator("[data-live=details]")).to_contain_text("Revision 2")


def sign_out(desk: Desk) -> None:
    page = desk.page
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out")).to_be_visible()
    desk.go("/account")
    expect(page).to_have_url(re.compile("/login"))


def test_conflict_shows_both_and_keeps_mine(sit: Sit, api: Api) -> None:
    """After two people changed a record both versions are shown, and only what is chosen is saved."""
    record = api.put("customers", "club", name="Baltic Club", phone="+49 1", company="Old", tags=["group"])
    desk = sit(People.agent)
    page = desk.page
    desk.expected.add(409)
    desk.go(f"/customers/{record['id']}/edit")
    page.get_by_label("Phone").fill("+49 2")
    page.get_by_label("Company").fill("Mine alone")
    desk.live()
    api.put("customers", "club", phone="+49 3", tags=["group", "vip"])
    expect(page.get_by_text("Someone saved this record while you were editing")).to_be_visible()
    assert page.get_by_label("Phone").input_value() == "+49 2"
    page.get_by_role("button", name="Save").click()

    conflict = page.locator(".merge")
    expect(conflict.locator("tbody tr")).to_have_count(3)
    expect(page.get_by_text("1 to decide")).to_be_visible()
    assert api.get("customers", record["id"])["phone"] == "+49 3"
    page.get_by_role("button", name="Save merged").click()  # nothing picked: nothing saved; the tags are merged already
    expect(conflict.locator("tbody tr")).to_have_count(2)
    conflict.get_by_role("radio").first.check()
    page.get_by_role("button", name="Save merged").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Baltic Club")
    saved = api.get("customers", record["id"])
    assert (saved["phone"], saved["company"], saved["tags"]) == ("+49 2", "Mine alone", ["group", "vip"])


def test_choosing_theirs(sit: Sit, api: Api) -> None:
    """The version that someone else saved can be chosen."""
    record = api.put("customers", "theirs", name="Theirs Ltd", phone="+49 1")
    desk = sit(People.agent)
    page = desk.page
    desk.expected.add(409)
    desk.go(f"/customers/{record['id']}/edit")
    page.get_by_label("Phone").fill("+49 2")
    api.put("customers", "theirs", phone="+49 3")
    page.get_by_role("button", name="Save").click()
    page.locator(".merge").get_by_role("radio").nth(1).check()
    page.get_by_role("button", name="Save merged").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Theirs Ltd")
    assert api.get("customers", record["id"])["phone"] == "+49 3"


def test_missing_rights_are_not_offered_and_refused_by_address(sit: Sit, api: Api) -> None:
    """A viewer sees no link to create or edit; forms, export, console, users and mail show a page with 403."""
    record = api.put("customers", "seen", name="Seen Ltd")
    desk = sit(People.viewer)
    page = desk.page
    desk.go("/customers")
    assert page.get_by_role("link", name="New customer").count() == 0
    assert page.get_by_role("navigation", name="Workspace").get_by_text("Sync console").count() == 0
    desk.go(f"/customers/{record['id']}")
    assert page.get_by_role("link", name="Edit").count() == 0
    for path in (
        "/customers/new",
        f"/customers/{record['id']}/edit",
        "/customers/export.csv",
        "/sync",
        "/users",
        "/mail",
    ):
        desk.go(path, status=403)
        expect(page.get_by_role("heading", level=1)).to_have_text("You do not have permission")
    page.get_by_role("link", name="Go to the dashboard").click()
    page.wait_for_url(f"{desk.root}/")


def test_paging_forward_and_back(sit: Sit, api: Api) -> None:
    """A long list pages forward and back in its order and shows its range."""
    for number in range(30):
        api.put("customers", f"page-{number}", name=f"Page {number:02}", company="Paging")
    desk = sit(People.agent)
    page = desk.page
    desk.go("/customers?company=Paging&sort=name")
    expect(page.locator("tbody th").first).to_contain_text("Page 00")
    expect(page.get_by_text("1 to 25 of 30")).to_be_visible()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("tbody tr")).to_have_count(5)
    expect(page.get_by_text("26 to 30 of 30")).to_be_visible()
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("tbody th").first).to_contain_text("Page 00")


def test_the_keyboard_is_enough(sit: Sit) -> None:
    """Skip link, menu and a form work with the keyboard alone."""
    desk = sit(People.agent)
    page = desk.page
    desk.go("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    desk.go("/customers/new")
    page.get_by_label("Name (required)").focus()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("By keyboard")

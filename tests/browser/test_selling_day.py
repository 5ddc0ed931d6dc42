"""The day of a salesperson among 5,000 customers, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from browser.desk import PASSWORD, Desk, People
from browser.office import OLDEST

Sit = Callable[..., Desk]
WIDTHS = (1280, 390)


class Day:
    """The steps of the day, each from the page on which the one before ended."""

    def __init__(self, desk: Desk, width: int) -> None:
        self.desk, self.page, self.width = desk, desk.page, width
        self.phone = width < 640

    def menu(self, name: str) -> None:
        """Follow a link of the workspace's menu."""
        if self.phone:
            self.page.get_by_role("button", name="Menu").click()
        self.page.get_by_role("navigation", name="Workspace").get_by_role("link", name=name).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(name)

    def filters(self) -> None:
        """Open the filters where they are in a sheet."""
        if self.phone:
            self.page.get_by_role("button", name="Filters").click()

    def find(self, text: str) -> None:
        """Search the list, or the board."""
        self.page.get_by_role("searchbox").fill(text)
        self.page.keyboard.press("Enter")

    def fits(self) -> None:
        """The page has no sideways scroll."""
        assert self.desk.overflow() <= 0, self.page.url


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_a_salespersons_day(sit: Sit, office: str, width: int) -> None:
    """From the tasks of the day to a deal on the board, each step works among 5,000 customers, and nothing is lost."""
    desk = sit(People.agent, tenant=office, fresh=True, viewport={"width": width, "height": 844})
    day = Day(desk, width)
    for step in STEPS:
        step(day)
        day.fits()


def tick_off(day: Day) -> None:
    """The dashboard shows what is overdue; a tick finishes it, and Undo is there."""
    page = day.page
    expect(page.locator(".page-head")).to_contain_text(re.compile(r"\d+ overdue, \d+ due today"))
    overdue = page.get_by_role("checkbox", name=re.compile("^Done: Call ")).first
    name = (overdue.get_attribute("aria-label") or "").removeprefix("Done: ")
    overdue.check()
    expect(page.get_by_role("button", name=f"Undo: {name}")).to_be_visible()


def log_a_call(day: Day) -> None:
    """The list finds a customer by a part of the name, and a call is the first entry of its timeline."""
    page = day.page
    day.menu("Customers")
    day.find("zwick")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name=OLDEST).click()
    page.get_by_label("Call", exact=True).check()
    page.get_by_label("Text", exact=True).fill(f"Wants boats for {day.width} guests.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".feed li").first).to_contain_text(f"Wants boats for {day.width} guests.")


def make_a_deal(day: Day) -> None:
    """The customer changed longest ago takes three keys and Enter; the amount is read back as it is typed."""
    page = day.page
    day.menu("Deals")
    page.get_by_role("link", name="New deal").click()
    expect(page.get_by_label("Name (required)")).to_be_focused()
    customer = page.get_by_role("combobox", name="Customer")
    customer.press_sequentially("zwi")
    customer.press("Enter")
    expect(customer).to_have_value(OLDEST)
    page.get_by_label("Name (required)").fill(f"Easter camp {day.width}")
    page.get_by_label("Amount").fill("1.234")
    day.desk.expected.add(422)
    page.get_by_role("button", name="Create deal").click()
    amount = page.locator(".field", has=page.locator("#f-amount"))
    expect(amount.get_by_role("button", name="€1,234.00")).to_be_visible()
    page.locator("#f-amount").fill("12,500")
    expect(amount).to_contain_text("€12,500.00")
    expect(amount.get_by_role("button")).to_have_count(0)  # it has no two readings
    page.get_by_role("button", name="Create deal").click()
    expect(page.locator("[data-live=details]")).to_contain_text("€12,500")


def move_it(day: Day) -> None:
    """A card is found by its customer, moved with the keyboard alone, and moved back with the next Tab and Enter."""
    page, name = day.page, f"Easter camp {day.width}"
    day.menu("Deals")
    day.find("zwickau")
    day.desk.live()
    page.get_by_role("button", name=f"Move {name}").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Qualified")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-lane=qualified] [data-card]", has_text=name)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("[data-lane=new] [data-card]", has_text=name)).to_be_focused()


def save_a_view(day: Day) -> None:
    """Mine and a status are saved as a view under a name, a tab with its count."""
    page, status = day.page, "active" if day.phone else "lead"
    day.menu("Customers")
    day.filters()
    page.get_by_role("link", name="Mine", exact=True).click()
    expect(page.get_by_text(re.compile(r"^2,\d\d\d customers match$"))).to_be_visible()
    day.filters()
    page.get_by_role("search").get_by_label("Status").select_option(status)
    if day.phone:
        page.get_by_role("button", name=re.compile("^Show .* customers$")).click()
    page.wait_for_url(f"**status={status}*")
    page.get_by_role("button", name="Save as view").click()
    page.get_by_label("Name of the view").fill(f"Mine {day.width}")
    page.get_by_role("button", name="Save view").click()
    expect(page.get_by_role("link", name=re.compile(rf"^Mine {day.width} \d+$"))).to_have_attribute(
        "aria-current", "page"
    )


def hand_over(day: Day) -> None:
    """All customers of a search get another owner in one act."""
    page = day.page
    page.get_by_role("link", name=re.compile("^All ")).click()
    day.find(f"{day.width}"[:3])
    page.wait_for_url("**q=*")
    rows = page.locator("tbody tr")
    count = rows.count()
    assert 1 < count < 25
    page.get_by_label("Select all on this page").check()
    page.locator("#bulk-bar").get_by_role("button", name="Owner").click()
    expect(page.get_by_role("heading", name=f"Change owner of {count} customers")).to_be_visible()
    owner = page.get_by_role("combobox", name="Owner")
    owner.fill("mehmet")
    owner.press("Enter")
    expect(owner).to_have_value(People.manager.full_name)
    page.get_by_role("button", name=f"Change {count} customers").click()
    expect(page.locator(".toast")).to_contain_text(re.compile(r"\d customers changed"))
    expect(rows).to_have_count(count)


def archive(day: Day) -> None:
    """One click archives a customer, and Undo brings it back."""
    page = day.page
    page.locator("tbody tr a").first.click()
    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".toast")).to_contain_text("archived")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("restored")


def enter_a_double(day: Day) -> None:
    """A customer whose email is known is shown with a link before it is saved."""
    page = day.page
    day.desk.expected.add(409)
    day.menu("Customers")
    page.get_by_role("link", name="New customer").click()
    page.get_by_label("Name (required)").fill(f"Rowing seven {day.width}")
    page.get_by_label("Email").fill("c7@mail.example")
    page.get_by_role("button", name="Create customer").click()
    expect(page.get_by_role("link", name="Weser Rowing 7")).to_be_visible()
    page.get_by_role("button", name="Save anyway").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Rowing seven {day.width}")


def lose_nothing(day: Day) -> None:
    """A save after the session has ended shows all that was typed, and saves it after signing in again."""
    page = day.page
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Notes").fill("Two coaches, half board")
    other = day.desk.watched(day.desk.context.new_page())
    _sign_out(other, day)
    day.desk.expected.add(401)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Your input is still here")).to_be_visible()
    expect(page.locator("#unsaved-text")).to_contain_text("Two coaches, half board")
    other.goto(day.desk.root + "/login")
    other.fill("#email", People.agent.email)
    other.fill("#password", PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url(day.desk.root + "/")
    page.get_by_role("button", name="Save again").click()
    expect(page.locator("[data-live=details]")).to_contain_text("Two coaches, half board")


def _sign_out(other: Page, day: Day) -> None:
    """Sign out in another tab of the same browser."""
    other.goto(day.desk.root + "/account")
    if day.phone:
        other.get_by_role("button", name="Menu").click()
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_text("You are signed out")).to_be_visible()


STEPS = (tick_off, log_a_call, make_a_deal, move_it, save_a_view, hand_over, archive, enter_a_double, lose_nothing)

"""The board: sums for each lane and currency, filters, and moving a card by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from browser.api import Api
from browser.desk import Desk, People
from browser.office import today
from contract.box import Box

Sit = Callable[..., Desk]


@pytest.fixture(scope="module")
def deals(box: Box, api: Api) -> None:
    """Deals of a customer whose name no other test uses."""
    box.applied("features", {"plan": {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*"]}})
    box.applied("workspace", {"timezone": "Europe/Berlin", "currency": "EUR", "locale": "en-GB"})
    customer = api.put("customers", "board", name="Zeppelin Tours")["id"]
    members = {"customer_id": customer, "owner": People.agent.email}
    for number in range(23):
        currency = "USD" if number == 0 else "EUR"
        name = f"Zeppelin flight {number:02}"
        api.put("deals", f"board-{number}", name=name, amount="100.00", currency=currency, **members)
    late = (today() - timedelta(days=3)).isoformat()
    first = api.put("deals", "board-22", name="Zeppelin flight 22", amount="100.00", closes_on="2099-01-01", **members)
    api.put("tasks", "board", name="Weigh the guests", deal_id=first["id"], due_on=late)


def lane(page: Page, name: str) -> str:
    """The text of a lane's head, in one line."""
    return " ".join(page.locator(f"[data-lane={name}] > header").inner_text().split())


def test_sums_count_every_card_and_keep_currencies_apart(sit: Sit, deals: None) -> None:
    """The search finds deals by their customer; a lane shows 16 cards, counts 23 and adds up each currency."""
    desk = sit()
    page = desk.page
    desk.go("/deals/board?q=zeppelin+tours")
    assert lane(page, "new") == "New 23 Deals €2,200 US$100"
    expect(page.locator("[data-lane=new] [data-card]")).to_have_count(16)
    card = page.locator("[data-card]", has_text="Zeppelin flight 22")
    expect(card).to_contain_text("Task 3 days late")
    expect(card).to_contain_text("Zeppelin Tours")
    page.get_by_role("link", name="Show 7 more").click()
    expect(page.locator("[data-lane=new] [data-card]")).to_have_count(23)


def test_a_board_of_full_lanes_is_light(sit: Sit, office: str, record_property: Callable[[str, object], None]) -> None:
    """With all the cards that five lanes show at first, page and assets weigh less than 120 KB on a cold load."""
    desk = sit(People.agent, tenant=office)
    desk.go("/deals/board")
    expect(desk.page.locator("[data-card]")).to_have_count(5 * 16)
    weights = desk.page.evaluate(
        """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter((one) => !one.name.endsWith("/events")).map((one) => one.transferSize)"""
    )
    record_property("first load", f"{sum(weights)} bytes in {len(weights)} requests")
    assert sum(weights) < 120_000


def test_filters_narrow_cards_and_sums(sit: Sit, deals: None) -> None:
    """Mine and Closing this month are one click, another owner is chosen by name; each can be taken away."""
    desk = sit(People.manager)
    page = desk.page
    desk.go("/deals/board?q=zeppelin")
    page.get_by_role("link", name="Mine").click()
    expect(page.locator("[data-card]")).to_have_count(0)
    expect(page.locator("[data-lane=new]")).to_contain_text("Nothing here matches the filters")
    page.get_by_role("link", name="Mine").click()
    page.get_by_role("combobox", name="Owner").fill("tobias")
    page.get_by_role("option", name="Tobias Kern").click()
    expect(page.get_by_role("combobox", name="Owner")).to_have_value("Tobias Kern")
    assert lane(page, "new").startswith("New 23")
    page.get_by_role("link", name="Closing this month").click()
    expect(page.locator("[data-card]")).to_have_count(0)
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("[data-card]").first).to_be_visible()


def test_a_card_is_moved_by_keyboard_alone(sit: Sit, deals: None) -> None:
    """Arrows move in the menu; the moved card has the focus, its Undo is the next stop and survives a change."""
    desk = sit()
    page = desk.page
    desk.go("/deals/board?q=zeppelin+flight+22")
    desk.live()
    page.get_by_role("button", name="Move Zeppelin flight 22").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Qualified")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Move Zeppelin flight 22")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Qualified")).to_be_focused()  # the menu is open
    for key in ("End", "ArrowDown", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Won", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    card = page.locator("[data-lane=won] [data-card]", has_text="Zeppelin flight 22")
    expect(card).to_be_focused()
    expect(card).to_contain_text("Moved from New")
    expect(card).to_contain_text("Won today")
    assert lane(page, "won").endswith("€100")
    page.wait_for_timeout(600)  # the event of this change has come back, and the board was rendered again
    expect(card).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Undo: move Zeppelin flight 22 back")).to_be_focused()
    page.keyboard.press("Enter")
    back = page.locator("[data-lane=new] [data-card]", has_text="Zeppelin flight 22")
    expect(back).to_be_focused()
    expect(back).to_contain_text("Moved from Won")


def test_a_card_is_dragged_while_others_change_the_board(sit: Sit, deals: None, api: Api) -> None:
    """An update that arrives during a drag waits until the card is dropped."""
    customer = api.put("customers", "kites", name="Kite Club")["id"]
    for number in (1, 2):
        api.put("deals", f"kite-{number}", name=f"Kite {number}", customer_id=customer)
    desk = sit()
    page = desk.page
    desk.go("/deals/board?q=kite")
    desk.live()
    target = page.locator("[data-lane=qualified] > header")
    page.locator("[data-card]", has_text="Kite 1").hover()
    page.mouse.down()
    target.hover()
    expect(page.locator(".dragged")).to_have_count(1)
    with page.expect_response(lambda response: "/deals/board" in response.url) as fetched:
        api.put("deals", "kite-2", amount="20.00")
    fetched.value.finished()
    page.evaluate("() => new Promise((done) => setTimeout(done, 50))")  # the page has read the response
    expect(page.locator(".dragged")).to_have_count(1)
    target.hover()
    page.mouse.up()
    expect(page.locator("[data-lane=qualified]")).to_contain_text("Kite 1")

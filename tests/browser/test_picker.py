from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from browser.api import Api
from browser.desk import Desk, People
from contract.box import Box

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def new_deal(sit: Sit) -> tuple[Desk, Page]:
    """The form of a new deal."""
    desk = sit(People.agent)
    desk.go("/deals/new")
    return desk, desk.page


def test_a_customer_is_found_with_three_keys_and_enter(sit: Sit, api: Api) -> None:
    """Nothing is preselected; the customer changed longest ago is found by three characters, and Enter chooses it."""
    api.put("customers", "pick-old", name="Zwickau Sculls", email="zwickau@rowing.example")
    desk, page = new_deal(sit)
    customer = page.get_by_role("combobox", name="Customer")
    expect(customer).to_have_value("")
    expect(page.get_by_role("combobox", name="Owner")).to_have_value(People.agent.full_name)
    customer.press_sequentially("zwi")
    customer.press("Enter")
    expect(customer).to_have_value("Zwickau Sculls")
    page.get_by_label("Name (required)").fill("Summer camp")
    page.get_by_label("Amount").fill("12 500")
    expect(page.locator(".field", has=page.get_by_label("Amount"))).to_contain_text("€12,500.00")
    desk.shot("picker-form")
    assert desk.serious() == []
    page.get_by_role("button", name="Create deal").click()
    expect(page.locator("[data-live=details]")).to_contain_text("Zwickau Sculls")


def test_the_picker_by_keyboard_alone(sit: Sit, api: Api) -> None:
    """Arrows open and move, Escape closes and then clears, and typed text that was not chosen is an error."""
    for number in range(10):
        api.put("customers", f"pick-{number}", name=f"Zeeland club {number}", email=f"y{number}@sail.example")
    desk, page = new_deal(sit)
    customer = page.get_by_role("combobox", name="Customer")
    customer.fill("zeeland")
    options = page.get_by_role("listbox", name="Customer").get_by_role("option")
    expect(options).to_have_count(9)  # eight matches and Create
    expect(page.get_by_role("listbox", name="Customer")).to_contain_text("2 more match. Type more to narrow.")
    customer.press("ArrowDown")
    second = options.nth(1).get_attribute("id") or ""
    expect(customer).to_have_attribute("aria-activedescendant", second)
    said = page.locator("[data-picker=customer_id] [role=status]")
    expect(said).to_have_text("10 matches")
    customer.fill("zeeland club 7")
    expect(said).to_have_text("1 match")
    page.route("**/choices?*", lambda route: route.abort(), times=1)
    customer.fill("zeeland club")
    expect(said).to_have_text("Search did not answer. Try again.")
    customer.press("Escape")
    expect(customer).to_have_attribute("aria-expanded", "false")
    page.get_by_label("Name (required)").fill("Autumn camp")
    desk.expected.add(422)
    page.get_by_role("button", name="Create deal").click()
    expect(page.get_by_text("Choose a customer from the matches.")).to_be_visible()
    expect(page.get_by_label("Name (required)")).to_have_value("Autumn camp")
    page.wait_for_load_state()
    customer.press("Escape")
    expect(customer).to_have_value("")


def test_the_only_match_is_chosen_by_going_down_to_it(sit: Sit, api: Api) -> None:
    """The marked match stays marked at the first arrow down; only the second one reaches the row that creates."""
    api.put("customers", "pick-only", name="Ybbs Regatta")
    _, page = new_deal(sit)
    customer = page.get_by_role("combobox", name="Customer")
    customer.press_sequentially("ybbs")
    options = page.get_by_role("listbox", name="Customer").get_by_role("option")
    expect(options).to_have_count(2)  # the match and Create
    customer.press("ArrowDown")
    customer.press("Enter")
    expect(customer).to_have_value("Ybbs Regatta")
    customer.fill("ybbs")
    expect(options).to_have_count(2)
    customer.press("ArrowDown")
    customer.press("ArrowDown")
    customer.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_customer_is_created_on_the_way(sit: Sit, api: Api) -> None:
    """The last match creates: a short form in a dialog, then the deal's form with the customer, whose owner I am."""
    _, page = new_deal(sit)
    customer = page.get_by_role("combobox", name="Customer")
    customer.fill("Kvarner Bay")
    page.get_by_role("option", name="Create customer “Kvarner Bay”").click()
    dialog = page.get_by_role("dialog", name="New customer")
    dialog.get_by_label("Email").fill("bay@kvarner.example")
    dialog.get_by_role("button", name="Create customer").click()
    expect(customer).to_have_value("Kvarner Bay")
    made = page.locator("[name=customer_id]")
    expect(made).to_have_value(re.compile("[0-9a-f-]{36}"))
    assert api.get("customers", made.input_value())["owner"] == People.agent.email


def test_a_customer_that_cannot_be_created_on_the_way_says_why(sit: Sit, box: Box) -> None:
    """The dialog shows the reason, keeps what was typed, and creates one customer however often it is sent."""
    desk, page = new_deal(sit)
    desk.expected.add(403)
    page.get_by_role("combobox", name="Customer").fill("Limited Sails")
    page.get_by_role("option", name="Create customer “Limited Sails”").click()
    dialog = page.get_by_role("dialog")
    plan = {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}
    box.applied("features", {"plan": plan, "limits": {"customers": 0}})
    try:
        dialog.get_by_role("button", name="Create customer").click()
        expect(dialog.get_by_role("alert")).to_contain_text("You have reached a limit of your plan.")
    finally:
        box.applied("features", {"plan": plan})
    expect(dialog.get_by_label("Name")).to_have_value("Limited Sails")
    dialog.locator("form").evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    expect(dialog).to_have_count(0)
    desk.go("/customers?q=limited+sails")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_picker_works_without_script(sit: Sit, api: Api) -> None:
    """Find shows the matches as buttons; choosing one keeps everything typed and saves nothing."""
    api.put("customers", "pick-plain", name="Xanten Canoe Club", email=f"{'canoe.' * 9}club@xanten.example")
    desk = sit(People.agent, java_script_enabled=False)
    desk.go("/deals/new")
    page = desk.page
    page.get_by_label("Name (required)").fill("Spring camp")
    page.get_by_role("combobox", name="Customer").fill("xanten")
    page.locator("button[name='form:find'][value=customer_id]").click()
    field = page.locator(".field:has([data-picker=customer_id])")
    found = page.get_by_role("button", name="Xanten Canoe")
    assert found.evaluate("one => one.offsetWidth") <= field.evaluate("one => one.offsetWidth")
    found.click()
    expect(page.get_by_role("combobox", name="Customer")).to_have_value("Xanten Canoe Club")
    expect(page.get_by_label("Name (required)")).to_have_value("Spring camp")
    page.get_by_role("button", name="Create deal").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Spring camp")

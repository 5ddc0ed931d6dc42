from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People
from browser.office import today

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def test_a_form_that_is_saved_as_it_was_opened_changes_nothing(sit: Sit, api: Api) -> None:
    """International domains, lines of free fields and line ends of other systems come back as they went."""
    texts = {"email": "post@köln.example", "notes": "one\r\ntwo\rthree\n", "custom": {"lines": "a\nb\r\nc", "n": 5}}
    made = api.put("customers", "saved-1", name="Unchanged Boats", tags=["a, b", "c"], **texts)
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}/edit")
    assert desk.serious() == []
    desk.page.get_by_role("button", name="Save", exact=True).click()
    expect(desk.page.locator(".toast")).to_contain_text("Nothing was changed")
    assert api.get("customers", made["id"]) == made


COUNT = """() => {
  self.sent = 0;
  addEventListener("submit", (event) => { self.sent += !event.defaultPrevented; event.preventDefault(); });
}"""


def test_enter_that_is_pressed_twice_saves_once(sit: Sit, api: Api) -> None:
    """The second time does nothing while the first is on its way, for a new record and for a change."""
    made = api.put("customers", "saved-2", name="Impatient Rowers", phone="1")
    desk = sit(People.agent)
    for path, field in (("new", "#f-name"), (f"{made['id']}/edit", "#f-phone")):
        desk.go(f"/customers/{path}")
        desk.page.evaluate(COUNT)
        desk.page.fill(field, "12")
        desk.page.keyboard.press("Enter")
        desk.page.keyboard.press("Enter")
        assert desk.page.evaluate("self.sent") == 1


def test_back_shows_what_filters_the_list(sit: Sit, api: Api) -> None:
    """The filters are those of the address, not those that were chosen when the page was left."""
    api.put("customers", "saved-3", name="Backwater Rowers", status="lead")
    page = (desk := sit(People.agent)).page
    desk.go("/customers?q=backwater")
    page.locator("#by-status").select_option("active")
    page.wait_for_url("**&status=active")
    page.locator("#q").fill("elsewhere")
    page.locator("#q").press("Enter")
    page.wait_for_url("**q=elsewhere*")
    page.go_back()
    expect(page.locator("#q")).to_have_value("backwater")
    page.go_back()
    expect(page.locator("#by-status")).to_have_value("")
    expect(page.locator("tbody")).to_contain_text("Backwater Rowers")


def test_back_shows_what_is_stored(sit: Sit, api: Api) -> None:
    """A task that was done meanwhile has a checked box, and a role that was chosen and not set is not shown."""
    task = {"name": "Backwater call", "assignee": People.super_admin.email, "due_on": today().isoformat()}
    api.put("tasks", "saved-4", **task)
    page = (desk := sit()).page
    desk.go("/")
    box = page.get_by_role("checkbox", name="Done: Backwater call")
    expect(box).not_to_be_checked()
    page.get_by_role("link", name="Users", exact=True).click()
    page.get_by_role("link", name=People.viewer.full_name).click()
    page.get_by_label("Role").select_option("manager")
    page.get_by_role("link", name=People.agent.full_name).click()
    expect(page.get_by_label("Role")).to_have_value("agent")
    page.go_back()
    expect(page.get_by_label("Role")).to_have_value("viewer")
    api.put("tasks", "saved-4", **task, done=True)
    page.go_back()
    page.go_back()
    expect(box).to_be_checked()

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People

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

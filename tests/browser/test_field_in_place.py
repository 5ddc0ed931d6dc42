from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from browser.api import Api
from browser.desk import Desk, People

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


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
    expect(page.locator(".toast")).to_contain_text("Saale Rowers saved")
    expect(pen).to_be_focused()
    stored = api.get("customers", made["id"])
    assert (stored["phone"], stored["revision"]) == ("222", 2)
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


def test_a_form_that_arrives_late_finds_its_field(sit: Sit, api: Api) -> None:
    """A pen opens its field although the details were rendered again meanwhile, but not over text typed elsewhere."""
    made = api.put("customers", "line-3", name="Spree Rowers", phone="111", company="Old")
    desk, delayed = sit(People.agent), list[Route]()
    desk.go(f"/customers/{made['id']}")
    desk.live()
    page, details = desk.page, desk.page.locator("[data-live=details]")
    page.route("**/edit", lambda route, _request: delayed.append(route))
    page.get_by_role("link", name="Change phone").click()
    api.put("customers", "line-3", company="Spree Ltd")
    expect(details).to_contain_text("Spree Ltd")
    delayed.pop().continue_()
    expect(page.locator("#f-phone")).to_be_focused()
    page.get_by_role("link", name="Change company").click()
    page.locator("#f-phone").fill("222")
    with page.expect_response("**/edit"):
        delayed.pop().continue_()
    expect(page.locator("#f-phone")).to_be_focused()
    expect(page.locator("#f-phone")).to_have_value("222")
    expect(page.locator("#f-company")).to_be_hidden()


def test_escape_shows_what_others_saved_meanwhile(sit: Sit, api: Api) -> None:
    """While a field is open a notice says that the record changed; Escape shows the change, without the notice."""
    made = api.put("customers", "line-4", name="Havel Rowers", phone="111")
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}")
    desk.live()
    page, details = desk.page, desk.page.locator("[data-live=details]")
    page.get_by_role("link", name="Change phone").click()
    page.locator("#f-phone").fill("222")
    api.put("customers", "line-4", phone="333")
    expect(page.locator("[data-meanwhile]")).to_be_visible()
    expect(details).to_contain_text("111")
    page.keyboard.press("Escape")
    expect(details).to_contain_text("333")
    expect(page.locator("[data-meanwhile]")).to_have_count(0)
    expect(page.get_by_role("link", name="Change phone")).to_be_focused()


def test_text_in_a_field_survives_a_server_that_is_down(sit: Sit, api: Api) -> None:
    """Without an answer, or with that of a front whose server is down, the field stays open with its text."""
    made = api.put("customers", "line-5", name="Isar Rowers", phone="111")
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}")
    page, field = desk.page, desk.page.locator("#f-phone")
    idle = page.locator(".inplace:not([inert])")  # no answer is awaited: until then Enter does nothing
    page.route("**/edit", lambda route: route.abort(), times=2)
    page.get_by_role("link", name="Change phone").click()
    expect(page.locator("[data-refused]")).to_contain_text("The server could not be reached.")
    page.unroute_all()
    page.get_by_role("link", name="Change phone").click()
    field.fill("222")
    page.route("**/edit", lambda route: route.abort(), times=1)
    field.press("Enter")
    expect(idle).to_be_visible()
    expect(page.locator("[data-refused]")).to_contain_text("The server could not be reached.")
    expect(field).to_be_focused()
    page.route("**/edit", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"), times=1)
    with page.expect_console_message(lambda message: "a status of 502" in message.text):
        field.press("Enter")
    desk.wrong.clear()
    expect(idle).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_value("222")
    field.press("Enter")
    expect(page.get_by_role("link", name="Change phone")).to_be_focused()
    expect(page.locator("[data-refused]")).to_have_count(0)
    assert api.get("customers", made["id"])["phone"] == "222"


def test_a_save_needs_no_confirmation(sit: Sit, api: Api) -> None:
    """A field closes with its new value if another window of the browser has shown the confirmation already."""
    made = api.put("customers", "line-6", name="Trave Rowers", phone="111")
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}")
    page = desk.page

    def unconfirmed(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("data-toast", "data-shown"))

    page.get_by_role("link", name="Change phone").click()
    page.locator("#f-phone").fill("222")
    page.route("**/edit", unconfirmed)
    page.keyboard.press("Enter")
    expect(page.locator("[data-live=details]")).to_contain_text("222")
    expect(page.get_by_role("link", name="Change phone")).to_be_focused()

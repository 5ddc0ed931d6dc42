"""Forms that are refused: where the focus is, and what Reload and Back lead to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def test_reload_and_back_do_not_send_a_refused_form_again(sit: Sit, api: Api) -> None:
    """Reload brings what was typed back; once it is saved, Back leads to an empty form and not to a browser's error."""
    api.put("customers", "refused-1", name="Known Rowing", email="known@rowing.example")
    desk = sit(People.agent)
    desk.expected.add(422)
    page = desk.page
    desk.go("/customers")
    page.get_by_role("link", name="New customer").click()
    page.get_by_label("Name (required)").fill("Known again")
    page.get_by_label("Email").fill("no address")
    page.get_by_role("button", name="Create customer").click()
    expect(page.get_by_label("Email")).to_be_focused()
    desk.reload()
    expect(page.get_by_label("Name (required)")).to_have_value("Known again")
    page.get_by_label("Email").fill("known@rowing.example")
    page.get_by_role("button", name="Create customer").click()
    expect(page.locator("[data-errors]")).to_be_focused()
    page.get_by_role("link", name="Open Known Rowing").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Known Rowing")
    page.go_back()
    expect(page.get_by_label("Email")).to_have_value("known@rowing.example")
    page.get_by_role("button", name="Create customer").click()
    page.get_by_role("button", name="Save anyway").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Known again")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("New customer")
    expect(page.get_by_label("Name (required)")).to_have_value("")


def test_a_conflict_has_the_focus(sit: Sit, api: Api) -> None:
    """A keyboard and a screen reader begin at the versions to choose from, not at the top of the page."""
    record = api.put("customers", "refused-2", name="Twice Rowing", phone="+49 1")
    desk = sit(People.agent)
    desk.expected.add(409)
    page = desk.page
    desk.go(f"/customers/{record['id']}/edit")
    page.get_by_label("Phone").fill("+49 2")
    api.put("customers", "refused-2", phone="+49 3")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("section[data-errors]")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio").first).to_be_focused()
    assert desk.serious() == []


def test_reload_and_back_lose_neither_version_of_a_conflict(sit: Sit, api: Api) -> None:
    """Reload brings the form with what was typed; saving it shows both versions again, and overwrites neither."""
    record = api.put("customers", "refused-3", name="Thrice Rowing", phone="+49 1", status="lead")
    desk = sit(People.agent)
    desk.expected |= {409, 422}
    page = desk.page
    desk.go(f"/customers/{record['id']}/edit")
    page.get_by_label("Phone").fill("+49 2")
    api.put("customers", "refused-3", phone="+49 3", status="active")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("radio")).to_have_count(2)
    expect(page.locator("form .primary")).to_have_text(["Save merged version"])
    page.get_by_role("radio").last.check()
    desk.reload()
    expect(page.get_by_role("radio")).to_have_count(0)
    expect(page.get_by_label("Phone")).to_have_value("+49 2")
    desk.reload()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("radio")).to_have_count(2)
    page.get_by_role("radio").first.check()
    page.get_by_label("Email").fill("no address")
    page.get_by_role("button", name="Save merged version").click()
    expect(page.get_by_label("Email")).to_be_focused()
    desk.reload()  # the choice is made already
    expect(page.get_by_label("Phone")).to_have_value("+49 2")
    page.get_by_label("Email").fill("thrice@rowing.example")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thrice Rowing")
    stored = api.get("customers", record["id"])
    assert (stored["phone"], stored["status"], stored["email"]) == ("+49 2", "active", "thrice@rowing.example")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Edit Thrice Rowing")


def test_reload_repeats_no_act_on_a_selection(sit: Sit, api: Api) -> None:
    """From the page of an act and from its result, Reload and Back lead to the list."""
    for number in range(25):
        api.put("customers", f"again-{number}", name=f"Againhead {number:02}", status="lead")
    desk = sit(People.manager)
    page, listed = desk.page, "/customers?q=againhead&sort=name"
    rows = page.locator("tbody tr", has_text="Againhead")
    desk.go(listed)
    page.get_by_label("Select all on this page").check()
    page.locator("#bulk-bar").get_by_role("button", name="Status").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Change status of 25 customers")
    desk.reload()
    expect(rows).to_have_count(25)
    page.get_by_label("Select all on this page").check()
    page.locator("#bulk-bar").get_by_role("button", name="Status").click()
    page.get_by_label("Status").select_option("inactive")
    page.get_by_role("button", name="Change 25 customers").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("25 customers changed")
    desk.reload()
    expect(rows.filter(has_text="Inactive")).to_have_count(25)
    page.go_back()
    expect(rows).to_have_count(25)


def test_reload_sends_no_refused_invitation_again(sit: Sit) -> None:
    """The typed name comes back; once the link is shown, Reload leads to the new user, and a new form is empty."""
    desk = sit(People.admin)
    desk.expected.add(422)
    page = desk.page
    desk.go("/users/invite")
    page.get_by_label("Email").fill("no address")
    page.get_by_label("Name").fill("Ole Reload")
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_label("Email")).to_be_focused()
    desk.reload()
    expect(page.get_by_label("Name")).to_have_value("Ole Reload")
    page.get_by_label("Email").fill("ole@nordwind.example")
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#link")).to_contain_text("/password/")
    desk.reload()
    expect(page.locator("#user-h")).to_have_text("Ole Reload")
    expect(page.locator("#link")).to_have_count(0)
    desk.go("/users/invite")
    expect(page.get_by_label("Name")).to_have_value("")


def test_reload_sends_no_refused_erase_again(sit: Sit, api: Api) -> None:
    """After a wrong name the page that Reload opens has no error."""
    record = api.put("customers", "refused-4", name="Gone Rowing")
    desk = sit(People.admin)
    desk.expected.add(422)
    page = desk.page
    desk.go(f"/customers/{record['id']}")
    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".toast")).to_contain_text("archived")
    desk.go(f"/customers/{record['id']}/erase")
    page.get_by_label("Enter Gone Rowing to confirm").fill("Gone")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("alert")).to_be_visible()
    desk.reload()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("Erase Gone Rowing?")


def test_a_wrong_password_leaves_no_form_to_send_again(sit: Sit) -> None:
    """After signing in at the second try, Back leads to a page of the workspace and not to a browser's error."""
    desk = sit(None)
    desk.expected.add(401)
    page = desk.page
    desk.go("/login")
    page.get_by_label("Email").fill(People.agent.email)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    desk.sign_in(People.agent)
    page.go_back()
    expect(page).to_have_url(f"{desk.root}/")


def test_typing_after_the_session_ended_breaks_no_script(sit: Sit) -> None:
    """The reading of an amount is then the sign-in page, which is shown as no reading."""
    desk = sit(People.agent, fresh=True)
    page = desk.page
    desk.go("/deals/new")
    desk.context.clear_cookies()
    with page.expect_response(lambda answer: "/login" in answer.url):
        page.get_by_label("Amount").fill("12.50")
    expect(page.locator(".field:has(#f-amount) [data-echo]")).to_have_text("")


def test_an_act_after_the_session_ended_says_so_and_changes_nothing(sit: Sit, api: Api) -> None:
    """A dropped card goes back to its lane, a task is not ticked, and each page says how to go on."""
    customer = api.put("customers", "refused-3", name="Quartz Rowing")["id"]
    api.put("deals", "refused-3", name="Quartz trip", customer_id=customer)
    api.put(
        "tasks", "refused-3", name="Call Quartz", customer_id=customer, due_on="2020-01-01", assignee=People.agent.email
    )
    desk = sit(People.agent, fresh=True)
    page = desk.page
    said = page.get_by_role("alert").filter(
        has_text="You are signed out. Nothing was changed. Sign in, then try again."
    )
    desk.go("/deals/board?q=quartz")
    desk.context.clear_cookies()
    page.locator("[data-card]", has_text="Quartz trip").drag_to(page.locator("[data-lane=won] > header"))
    expect(said.get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.locator("[data-lane=new]")).to_contain_text("Quartz trip")
    desk.sign_in(People.agent)
    desk.context.clear_cookies()
    box = page.get_by_role("checkbox", name="Done: Call Quartz")
    box.click()
    expect(said).to_be_visible()
    expect(box).not_to_be_checked()
    expect(page.get_by_role("alert")).to_have_count(1)


def test_reload_sends_no_refused_password_or_token_again(sit: Sit) -> None:
    """Reload opens the page of the form again: passwords are gone, and the name and scopes of a token are back."""
    desk = sit(People.admin)
    desk.expected.add(422)
    page = desk.page
    desk.go("/account")
    page.get_by_label("Current password").fill("not this one")
    page.get_by_label("New password").fill("short")
    page.get_by_label("Repeat password").fill("short")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator("form .err").first).to_be_visible()
    desk.reload()
    expect(page.locator("form .err")).to_have_count(0)
    desk.go("/tokens")
    page.get_by_label("Name").fill("Reloaded")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("form .err").first).to_be_visible()
    desk.reload()
    expect(page.locator("form .err")).to_have_count(0)
    expect(page.get_by_label("Name")).to_have_value("Reloaded")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("#token")).to_be_visible()
    page.get_by_role("link", name="I have stored it").click()
    expect(page.get_by_label("Name")).to_have_value("")


def test_what_is_typed_is_shown_to_no_one_else(sit: Sit) -> None:
    """Another user who signs in where a session has ended has an empty form; the first one has the text back."""
    desk = sit(People.agent, fresh=True)
    name = desk.page.get_by_label("Name (required)")
    desk.go("/customers/new")
    name.fill("Secret Sculls")
    for who, text in ((People.manager, ""), (People.agent, "Secret Sculls")):
        desk.context.clear_cookies()
        desk.sign_in(who)
        desk.go("/customers/new")
        expect(name).to_have_value(text)

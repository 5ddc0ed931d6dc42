from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.desk import PASSWORD, Desk, People
from contract.box import TENANT, Box

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def test_an_admins_whole_way(sit: Sit, box: Box) -> None:
    """An admin invites a user, narrows and restores the user's rights, and disables the user, which signs them out."""
    admin = sit(People.admin)
    page = admin.page
    admin.go("/users")
    page.get_by_role("link", name="Invite user").click()
    page.get_by_label("Email").fill("inga@nordwind.example")
    page.get_by_label("Name").fill("Inga Behrens")
    page.get_by_label("Role").select_option("agent")
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_text("Pass this link on.")).to_be_visible()  # there is no mail server yet
    link = page.locator("#link").inner_text()
    expect(page.locator(".people")).to_contain_text("Inga Behrens")

    guest = sit(who=None)
    guest.page.goto(link)
    guest.page.get_by_label("New password").fill("four blue oars")
    guest.page.get_by_label("Repeat password").fill("four blue oars")
    guest.page.get_by_role("button", name="Set password").click()
    expect(guest.page.get_by_text("The password is set.")).to_be_visible()
    guest.page.fill("#email", "inga@nordwind.example")
    guest.page.fill("#password", "four blue oars")
    guest.page.get_by_role("button", name="Sign in").click()
    expect(guest.page.get_by_role("heading", level=1)).to_contain_text("Inga")
    guest.expected.add(410)
    guest.page.goto(link)
    expect(guest.page.get_by_text("This link no longer works.")).to_be_visible()
    guest.page.get_by_role("link", name="Request a new link").click()
    guest.page.wait_for_url("**/forgot")
    guest.go("/customers/new")

    page.get_by_role("link", name="Inga Behrens").click()
    page.get_by_role("checkbox", name="Create customers").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.locator("tr", has_text="customers.create")
    expect(row).to_contain_text("Removed")
    expect(page.get_by_role("checkbox", name="View website")).to_be_disabled()
    guest.go("/customers/new", status=403)
    page.get_by_role("button", name="Grant all features of the role").click()
    expect(row).to_contain_text("Allowed")
    guest.go("/customers/new")
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Set role").click()
    expect(row).to_contain_text("Not in role")
    page.get_by_role("button", name=re.compile("Disable")).click()
    expect(page.locator(".people")).to_contain_text("disabled")
    guest.go("/account")
    expect(guest.page).to_have_url(re.compile("/login"))


def test_a_revision_is_compared_previewed_and_restored(sit: Sit, box: Box) -> None:
    """Two revisions show side by side; a preview writes nothing; a restore makes a new one and shows its brand."""
    box.applied("branding", {"title": "Before", "colors": {"primary": "#1a4fa3"}, "footer": {"text": "Hamburg"}})
    box.applied("branding", {"title": "After", "colors": {"primary": "#0b5fff"}, "footer": {"text": "Hamburg"}})
    admin = sit(People.admin)
    page = admin.page
    admin.go("/sync")
    page.get_by_role("link", name="History of branding").click()
    diff = page.locator("table.diff")
    expect(diff.locator("del").first).to_have_text("1a4fa3")
    expect(diff.locator("ins").last).to_have_text("After")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text(re.compile("Revision .* can be restored."))).to_be_visible()
    expect(page.locator(".side .brand")).to_contain_text("After")
    admin.reload()  # compares again, and does not send the preview again
    expect(page.get_by_text(re.compile("Revision .* can be restored."))).to_have_count(0)
    expect(diff.locator("ins").last).to_have_text("After")
    page.get_by_role("button", name=re.compile("^Restore")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name=re.compile("Keep"))).to_be_focused()
    dialog.get_by_role("button", name=re.compile("Restore")).click()
    expect(page.locator(".toast")).to_contain_text("restored as revision")
    expect(page.locator(".side .brand")).to_contain_text("Before")


def test_a_refused_push_says_how_to_fix_it(sit: Sit, box: Box) -> None:
    """The page of a refused attempt shows the failed check among all sixteen, and the steps to fix it."""
    assert box.push("branding", {"title": "Late"}, timestamp=1_700_000_000).status_code == 401
    admin = sit(People.admin)
    page = admin.page
    admin.go("/sync?status=rejected")
    page.locator("#attempts tbody tr", has_text="timestamp_").first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The timestamp is outside the accepted window")
    checks = page.locator(".checks > li")
    expect(checks).to_have_count(16)
    expect(checks.locator(".outcome")).to_have_text(["Passed"] * 6 + ["Failed"] + ["Not reached"] * 9)
    expect(page.get_by_text("Enable time synchronization")).to_be_visible()


def test_the_request_template_has_no_secret(sit: Sit, box: Box) -> None:
    """The script reads its secret from the environment; invalid data is an error at its field."""
    admin = sit(People.admin)
    page = admin.page
    admin.go("/sync")
    page.get_by_label("Data").fill('{"title": "It\'s us"}')
    page.get_by_role("button", name="Show the request").click()
    script = page.locator("#curl").inner_text()
    assert "key=$CRM_KEY_HEX" in script
    assert "It'\\''s us" in script
    assert "hex:" not in page.content()
    page.get_by_label("Data").fill("{oops")
    page.get_by_role("button", name="Show the request").click()
    expect(page.locator("#try .err")).to_be_visible()


def test_the_password_change_ends_other_sign_ins(sit: Sit, signed_in: dict[Any, Any]) -> None:
    """A password change signs every other browser out and keeps this one signed in."""
    signed_in.pop((TENANT, People.manager), None)  # all sessions of the user end, those of later tests too
    mine, other = sit(People.manager, fresh=True), sit(People.manager, fresh=True)
    page = mine.page
    mine.go("/account")
    page.get_by_label("Current password").fill("wrong")
    page.get_by_label("New password").fill("six green anchors")
    page.get_by_label("Repeat password").fill("six green anchors")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator("#f-old-e")).to_contain_text("wrong")
    for before, after in ((PASSWORD, "six green anchors"), ("six green anchors", PASSWORD)):
        page.get_by_label("Current password").fill(before)
        page.get_by_label("New password").fill(after)
        page.get_by_label("Repeat password").fill(after)
        page.get_by_role("button", name="Change password").click()
        expect(page.locator(".toast")).to_contain_text("Password changed")
    other.go("/account")
    expect(other.page).to_have_url(re.compile("/login"))

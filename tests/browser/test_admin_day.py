"""The day of an admin of a workspace with 5,000 customers, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, expect

from browser.desk import Desk, People
from browser.office import CUSTOMERS, OFFICE
from contract.box import Box

Sit = Callable[..., Desk]
WIDTHS = (1280, 390)
FILE = "Name;Email;Status\nImported {0};imported{0}@mail.example;Active\nBroken {0};no address;Active\n"


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_an_admins_day(sit: Sit, office: str, box: Box, width: int, tmp_path: Path) -> None:
    """Users, sync, tokens, an import, reports, erasing, restoring and the language work among 5,000 customers."""
    assert box.push("branding", {"colors": {"primary": "red"}, "title": 7}, tenant=OFFICE).status_code == 422
    (tmp_path / "customers.csv").write_text(FILE.format(width))
    desk = sit(People.admin, tenant=office, fresh=True, viewport={"width": width, "height": 844})
    page = desk.page
    invite(page, desk, width)
    explain_a_refusal(page, desk)
    create_and_revoke_a_token(page, desk, width)
    import_customers(page, desk, width, tmp_path / "customers.csv")
    read_reports(page, desk)
    restore_and_erase(page, desk, width)
    speak_german(page, desk)


def invite(page: Page, desk: Desk, width: int) -> None:
    """A colleague is invited, gets another role, and loses one right of it."""
    desk.go("/users/invite")
    page.get_by_label("Email").fill(f"inga{width}@nordwind.example")
    page.get_by_label("Name").fill(f"Inga Behrens {width}")
    page.get_by_label("Role").select_option("agent")
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#link")).to_contain_text("/password/")
    page.get_by_role("link", name=f"Inga Behrens {width}").click()
    page.get_by_label("Role").select_option("manager")
    page.get_by_role("button", name="Set role").click()
    expect(page.locator("[aria-current=true]")).to_contain_text("Manager")
    page.get_by_role("checkbox", name="Export customers").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("tr", has_text="customers.export")).to_contain_text("Removed")
    assert desk.overflow() <= 0


def explain_a_refusal(page: Page, desk: Desk) -> None:
    """The console's headline names the cause and the member; the attempt lists each finding with its place."""
    desk.go("/sync")
    headline = re.compile("^The newest push was refused: Colors.* primary.* a color, exactly #rrggbb, and 1 more$")
    expect(page.locator(".status h2")).to_have_text(headline)
    page.get_by_role("link", name="See every finding and how to fix it").click()
    expect(page.locator(".findings > li")).to_have_count(2)
    expect(page.locator(".findings")).to_contain_text("/data/colors/primary")
    expect(page.locator(".findings")).to_contain_text("/data/title")
    assert desk.overflow() <= 0


def create_and_revoke_a_token(page: Page, desk: Desk, width: int) -> None:
    """A token is shown once, is listed by its name, and is revoked after a question."""
    desk.go("/tokens")
    page.get_by_label("Name (required)").fill(f"Event desk {width}")
    page.get_by_label("Customers: read").check()
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_role("region", name="The token")).to_contain_text("crm_")
    page.get_by_role("link", name="I have stored it").click()
    page.get_by_role("link", name=f"Revoke Event desk {width}").click()
    expect(page.get_by_role("link", name="Keep it")).to_be_focused()
    page.get_by_role("button", name=f"Revoke Event desk {width}").click()
    expect(page.get_by_role("rowheader", name=f"Event desk {width}")).to_have_count(0)
    assert desk.overflow() <= 0


def import_customers(page: Page, desk: Desk, width: int, file: Path) -> None:
    """The preview names the row and the value at fault; the good row is written, the bad one comes back as a file."""
    desk.go("/customers")
    if width < 640:
        page.get_by_role("button", name="More acts").click()
    page.get_by_role("link", name="Import", exact=True).click()
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("1 customer would be created, 0 updated, 1 refused.")).to_be_visible()
    refused = page.locator("details tbody tr")
    expect(refused).to_have_count(1)
    expect(refused).to_contain_text("3")
    expect(refused).to_contain_text("Email “no address”")
    page.get_by_role("button", name="Import 1 customer").click()
    expect(page.get_by_text("1 customer created, 0 updated, 1 refused.")).to_be_visible()
    text = _downloaded(page, "Download the refused rows")
    assert text.splitlines()[0].endswith(",Error")
    assert text.splitlines()[1].startswith(f"Broken {width},no address,")
    assert desk.overflow() <= 0


def read_reports(page: Page, desk: Desk) -> None:
    """The reports open, and the CSV of all of them counts the customers that the other system created."""
    desk.go("/reports")
    expect(page.get_by_role("heading", name="Won and lost")).to_be_visible()
    expect(page.get_by_role("heading", name="New customers")).to_be_visible()
    text = _downloaded(page, "Export all as CSV", link=True)
    assert re.search(rf"^\d{{4}}-\d\d,\d+,{CUSTOMERS},\d+$", text, re.MULTILINE)  # by people, by other systems, sum
    assert desk.overflow() <= 0


def restore_and_erase(page: Page, desk: Desk, width: int) -> None:
    """An archived customer is found and restored; erasing requires the name and leaves nothing to find."""
    desk.go(f"/customers?q=imported+{width}")
    page.locator("tbody tr a").first.click()
    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".toast")).to_contain_text("archived")
    desk.go("/customers?archived=true")
    page.get_by_role("link", name=f"Imported {width}").click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("button", name="Archive").click()
    desk.go("/customers?archived=true")
    page.get_by_role("link", name=f"Imported {width}").click()
    page.get_by_role("link", name="Erase for good").click()
    desk.expected.add(422)
    page.get_by_label("to confirm").fill("Imported")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_label("to confirm")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("to confirm").fill(f"Imported {width}")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.locator(".toast")).to_contain_text("erased")
    desk.go(f"/customers?archived=true&q=imported+{width}")
    expect(page.locator("tbody tr")).to_have_count(0)
    assert desk.overflow() <= 0


def speak_german(page: Page, desk: Desk) -> None:
    """The admin's pages change to German and back, in one choice each."""
    desk.go("/account")
    page.get_by_role("combobox", name="Language").select_option("de")
    page.locator("form[action$='/language'] button").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    desk.go("/customers")
    expect(page.get_by_role("heading", level=1)).to_have_text("Kunden")
    assert desk.overflow() <= 0
    desk.go("/account")
    page.get_by_role("combobox", name="Sprache").select_option("en")
    page.locator("form[action$='/language'] button").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def _downloaded(page: Page, name: str, *, link: bool = False) -> str:
    """The text of the file that a button or link downloads."""
    with page.expect_download() as waiting:
        page.get_by_role("link" if link else "button", name=name).click()
    file: Download = waiting.value
    return Path(file.path()).read_text(encoding="utf-8-sig")

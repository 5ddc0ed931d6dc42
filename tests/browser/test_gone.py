"""What others archived, erased or disabled while its page was open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.api import Api
from browser.desk import Desk, People
from contract.box import Box

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]
EVERYTHING = ["customers.*", "deals.*", "tasks.*", "reports.*"]


@pytest.fixture
def other(box: Box, api: Api) -> Callable[[str, dict[str, Any]], None]:
    """Archives or erases a customer, as another system does."""
    bearer = box.bearer("customers:delete", "customers:erase")

    def act(verb: str, record: dict[str, Any]) -> None:
        path = f"{box.base()}/customers/{record['id']}"
        sent = box.client.delete(path, headers=bearer) if verb == "archive" else None
        answer = sent or box.client.post(f"{path}/{verb}", json={}, headers=bearer)
        assert answer.is_success, answer.text

    return act


def notice(page: Page) -> Any:
    """The notice that the page is gone."""
    return page.locator("main > [data-gone]")


def test_a_record_that_is_archived_while_one_reads_it(sit: Sit, api: Api, other: Callable[..., None]) -> None:
    """Its page says so with Restore, and takes no more notes; a note that is being written stays."""
    record = api.put("customers", "gone-1", name="Gone Rowing")
    reader, writer = sit(People.agent), sit(People.manager)
    for desk in (reader, writer):
        desk.go(f"/customers/{record['id']}")
        desk.live()
    writer.page.get_by_label("Text", exact=True).fill("Half a note")
    writer.page.get_by_label("Text", exact=True).blur()
    other("archive", record)
    for desk in (reader, writer):
        expect(desk.page.get_by_text("This record is archived.")).to_be_visible()
        expect(desk.page.get_by_role("button", name="Restore")).to_be_visible()
        assert desk.serious() == []
    expect(reader.page.get_by_label("Text", exact=True)).to_have_count(0)
    expect(writer.page.get_by_label("Text", exact=True)).to_have_value("Half a note")
    other("restore", record)
    expect(reader.page.get_by_label("Text", exact=True)).to_be_visible()
    expect(reader.page.get_by_text("This record is archived.")).to_have_count(0)


def test_a_record_that_is_archived_while_one_edits_it(sit: Sit, api: Api, other: Callable[..., None]) -> None:
    """The form says that it must be restored first and leads there in a new tab; after that the form saves."""
    record = api.put("customers", "gone-2", name="Edited Rowing")
    desk = sit(People.agent)
    page = desk.page
    desk.go(f"/customers/{record['id']}/edit")
    desk.live()
    page.get_by_label("Notes").fill("A long text")
    other("archive", record)
    expect(page.get_by_text("This record is archived. Restore it, then save here.")).to_be_visible()
    desk.expected.add(409)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Restore it, then save here.")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open Edited Rowing").click()
    opened.value.get_by_role("button", name="Restore").click()
    expect(opened.value.get_by_text("Edited Rowing restored")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("[data-live=details]")).to_contain_text("A long text")


def test_a_record_that_is_erased_while_one_reads_or_edits_it(sit: Sit, api: Api, other: Callable[..., None]) -> None:
    """Both pages say so and lead to the list; what one typed can be selected, and the list's address is the way on."""
    record = api.put("customers", "gone-3", name="Erased Rowing")
    reader, writer = sit(People.agent), sit(People.manager)
    reader.go(f"/customers/{record['id']}")
    writer.go(f"/customers/{record['id']}/edit")
    for desk in (reader, writer):
        desk.live()
    writer.page.get_by_label("Notes").fill("A long text")
    other("archive", record)
    other("erase", record)
    expect(notice(reader.page)).to_contain_text("This record has been erased. You can read this page")
    expect(notice(writer.page)).to_contain_text("Your input cannot be saved any more. You can copy it")
    notes = writer.page.get_by_label("Notes")
    expect(notes).not_to_be_editable()
    expect(notes).to_be_focused()  # what one types meanwhile follows no link
    for desk in (reader, writer):
        expect(desk.page.get_by_text("This record is archived.")).to_have_count(0)
        expect(desk.page.locator("main > :not([data-gone]) a[href]")).to_have_count(0)
        assert desk.serious() == []
    notice(reader.page).get_by_role("link", name="Back to Customers").click()
    reader.page.wait_for_url("**/customers")
    reader.go(f"/customers/{record['id']}", status=404)
    expect(reader.page.get_by_text("This record does not exist, or it has been erased.")).to_be_visible()
    expect(reader.page.get_by_role("link", name="Back to Customers")).to_be_visible()


def test_what_one_typed_can_be_copied_after_its_module_is_gone(sit: Sit, box: Box) -> None:
    """The form of a module that the platform disabled saves nothing, but its text can be read and selected."""
    desk = sit(People.agent)
    page = desk.page
    desk.go("/deals/new")
    desk.live()
    page.get_by_label("Notes").fill("A long text")
    box.applied("features", {"plan": {"code": "small", "name": "Small", "features": ["customers.*", "tasks.*"]}})
    try:
        expect(notice(page)).to_contain_text("no longer part of your workspace")
        expect(page.get_by_role("button", name="Create deal")).to_be_disabled()
        notes = page.get_by_label("Notes")
        expect(notes).not_to_be_editable()
        expect(notes).to_be_focused()
        page.keyboard.press("Control+a")
        assert page.evaluate("document.activeElement.selectionEnd") == len("A long text")
        customer = page.get_by_role("combobox", name="Customer")
        customer.press("ArrowDown")
        expect(customer).to_have_attribute("aria-expanded", "false")
        assert desk.serious() == []
    finally:
        box.applied("features", {"plan": {"code": "all", "name": "All", "features": EVERYTHING}})

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from browser.desk import Desk
from browser.plugged import Aside, plugged, window
from contract.box import Box

PLUGIN = """
from typing import Literal
import msgspec
from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import RecordType

class Step(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    action: Literal["dial", "write"] | None = None
    submit: str | None = None
    dataset: str | None = None
    elements: str | None = None
    method: str | None = None
    matches: str | None = None
    append: str | None = None
    closest: str | None = None
    remove: str | None = None
    inert: str | None = None
    role: str | None = None

class Steps(RecordType):
    NAME, TITLE, SINGULAR = "steps", "Steps", "Step"
    RECORD = Step
    FILTERABLE = ("action", "role")

@hookimpl
def crm_register_record_types():
    return [Steps()]
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, aside: Aside) -> Iterator[Box]:
    """An instance with that record type."""
    with plugged(tmp_path_factory.mktemp("names"), "steps", PLUGIN, ["steps.*"], aside) as box:
        yield box


@pytest.fixture
def desk(steps: Box, browser: Browser) -> Iterator[Desk]:
    with window(browser, steps) as desk:
        yield desk


def test_fields_may_be_named_like_parts_of_a_form(desk: Desk) -> None:
    """A record type with such members is created, and changed where it is shown, as any other."""
    page = desk.page
    desk.go("/steps/new")
    page.fill("#f-name", "Call back")
    page.select_option("#f-action", "dial")
    page.keyboard.press("Enter")
    page.wait_for_url("**/steps/*-*")
    for member in ("submit", "dataset", "matches", "remove", "method"):
        page.get_by_role("link", name=f"Change {member}", exact=True).click()
        page.fill(f"#f-{member}", f"By phone {member}")
        page.keyboard.press("Enter")
        expect(page.locator(".toast").last).to_contain_text("Call back saved")
        expect(page.locator("[data-live=details]")).to_contain_text(f"By phone {member}")
    page.get_by_role("link", name="Change elements", exact=True).click()
    page.fill("#f-elements", "Not saved")
    page.keyboard.press("Escape")
    expect(page.locator("form.inplace")).to_have_count(0)
    assert desk.wrong == []


def test_drafts_of_such_fields_come_back(desk: Desk) -> None:
    """After a reload they are there again, and count as unsaved; a click next to the fields is no error."""
    page = desk.page
    desk.go("/steps/new")
    page.fill("#f-name", "Call back")
    page.fill("#f-dataset", "typed")
    desk.reload()
    expect(page.locator("#f-dataset")).to_have_value("typed")
    assert page.locator("form[data-dirty='changed']").count() == 1
    page.evaluate("document.getElementById('record').dispatchEvent(new MouseEvent('click', { bubbles: true }))")
    page.locator("#f-name").press("Enter")
    page.wait_for_url("**/steps/*-*")
    desk.go("/steps/new")
    expect(page.locator("#f-dataset")).to_have_value("")
    assert [wrong for wrong in desk.wrong if not wrong.startswith("dialog: ")] == []


def test_filters_of_such_fields_count_and_apply(desk: Desk) -> None:
    """A chosen value filters, and in the sheet of a phone it is counted first."""
    page = desk.page
    desk.go("/steps")
    page.locator("#by-action").select_option("dial")
    page.wait_for_url("**/steps?action=dial")
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_role("button", name="Filters").click()
    page.locator("#by-action").select_option("write")
    page.locator("#sheet [data-show]", has_text="0 steps").click()
    page.wait_for_url("**/steps?action=write")
    assert desk.wrong == []

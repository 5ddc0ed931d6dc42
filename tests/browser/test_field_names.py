from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from browser.desk import Desk
from browser.plugged import Aside, plugged, window

PLUGIN = """
import msgspec
from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import RecordType

class Step(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    action: str | None = None
    submit: str | None = None

class Steps(RecordType):
    NAME, TITLE, SINGULAR = "steps", "Steps", "Step"
    RECORD = Step

@hookimpl
def crm_register_record_types():
    return [Steps()]
"""


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory, browser: Browser, aside: Aside) -> Iterator[Desk]:
    """A window on an instance with that record type."""
    with (
        plugged(tmp_path_factory.mktemp("names"), "steps", PLUGIN, ["steps.*"], aside) as box,
        window(browser, box) as desk,
    ):
        yield desk


def test_fields_may_be_named_like_parts_of_a_form(desk: Desk) -> None:
    """A record type with the members `action` and `submit` is created, and changed where it is shown, as any other."""
    page = desk.page
    desk.go("/steps/new")
    page.fill("#f-name", "Call back")
    page.fill("#f-action", "Dial")
    page.keyboard.press("Enter")
    page.wait_for_url("**/steps/*-*")
    page.get_by_role("link", name="Change submit").click()
    page.fill("#f-submit", "By phone")
    page.keyboard.press("Enter")
    expect(page.locator(".toast").last).to_contain_text("Saved as revision 2")
    expect(page.locator("[data-live=details]")).to_contain_text("By phone")
    assert desk.wrong == []

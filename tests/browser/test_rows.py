from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from browser.desk import Desk
from browser.plugged import Aside, plugged, window
from contract.box import Box
from doc_pages import ROOT


@pytest.fixture(scope="module")
def invoices(tmp_path_factory: pytest.TempPathFactory, aside: Aside) -> Iterator[Box]:
    """An instance with the record type of docs/examples/invoices.py."""
    text = (ROOT / "docs/examples/invoices.py").read_text()
    with plugged(tmp_path_factory.mktemp("rows"), "invoices", text, ["invoices.*", "customers.*"], aside) as box:
        yield box


@pytest.fixture
def desk(invoices: Box, browser: Browser) -> Iterator[Desk]:
    with window(browser, invoices) as desk:
        yield desk


def test_rows_are_added_and_removed_in_place(desk: Desk) -> None:
    """The fields of a new row have the focus, their own names and a reading; a draft of them survives a reload."""
    page = desk.page
    desk.go("/invoices/new")
    page.fill("#f-number", "R-1")
    page.fill("#f-lines-0-text", "Rowing boat")
    page.fill("#f-lines-0-price", "450")
    page.get_by_role("button", name="Add row").click()
    assert page.evaluate("document.activeElement.id") == "f-lines-1-text"
    page.keyboard.type("Oar")
    page.fill("#f-lines-1-price", "19,90")
    page.get_by_role("button", name="Add row").click()
    page.fill("#f-lines-2-text", "Sail")
    page.fill("#f-lines-2-price", "100")
    page.get_by_role("group", name="Row 3").get_by_text("€100").wait_for()
    page.get_by_role("button", name="Remove row 2").click()
    assert page.evaluate("document.activeElement.id") == "f-lines-1-text"
    assert page.get_by_role("group", name="Row 2").get_by_label("Text").input_value() == "Sail"
    assert page.get_by_role("group", name="Row 3").count() == 0
    desk.reload()
    assert page.input_value("#f-lines-1-text") == "Sail"
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert desk.overflow() <= 0
    for scheme in ("light", "dark"):
        desk.wear(scheme)
        assert desk.serious() == []
    page.get_by_role("button", name="Create invoice").click()
    page.wait_for_url("**/invoices/*-*")
    assert desk.overflow() <= 0
    assert "€550" in page.inner_text("main")
    assert desk.serious() == []

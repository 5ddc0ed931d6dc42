from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from browser.desk import PASSWORD, Desk, People
from contract.box import TENANT, Box
from doc_pages import ROOT


@pytest.fixture(scope="module")
def invoices(tmp_path_factory: pytest.TempPathFactory, aside: Callable[[Callable[[], Box]], Box]) -> Iterator[Box]:
    """An instance with the record type of docs/examples/invoices.py."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "plugins").mkdir()
    (folder / "plugins/invoices.py").write_text((ROOT / "docs/examples/invoices.py").read_text())
    made = Box(folder / "home", settings={"plugins": {"folders": [str(folder / "plugins")]}})
    try:
        aside(lambda: _started(made))
        yield made
    finally:
        assert made.stop() == 0


def _started(box: Box) -> Box:
    box.create_tenants().start()
    words = ("--email", People.manager.email, "--name", "Mehmet Aydin", "--role", "manager", "--password-stdin")
    box.crm("user", "create", "--tenant", TENANT, *words, stdin=PASSWORD + "\n")
    box.applied("features", {"plan": {"code": "a", "name": "A", "features": ["invoices.*", "customers.*"]}})
    return box


@pytest.fixture
def desk(invoices: Box, browser: Browser) -> Iterator[Desk]:
    root = f"{str(invoices.client.base_url).rstrip('/')}/i/eu1/t/{TENANT}"
    opened = Desk(browser, root, {})
    opened.sign_in(People.manager)
    yield opened
    opened.close()
    assert opened.wrong == []


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
    page.reload()
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

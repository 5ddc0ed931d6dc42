"""A workspace on its first day: nothing in it yet, and a brand that is seen in a browser for the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from browser.desk import Desk
from contract.box import Box

Sit = Callable[..., Desk]
PLAN = {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}
LONG = "Donaudampfschifffahrtsgesellschaft Nordwind Reisen und Freizeit Touristik International GmbH und Co. KG"


@pytest.fixture
def bare(box: Box) -> Iterator[str]:
    """A tenant without records, with every module; its sections are as before afterwards."""
    box.applied("features", {"plan": PLAN}, tenant="bare")
    yield "bare"
    for section in ("features", "branding", "workspace"):
        box.applied(section, {}, tenant="bare")


def test_an_empty_board_offers_the_first_record(sit: Sit, bare: str) -> None:
    """While there is no card, no lane says to drag one; the first lane leads to the form."""
    desk = sit(tenant=bare)
    desk.go("/deals/board")
    board = desk.page.locator(".board")
    expect(board.get_by_text("Drag a card here")).to_have_count(0)
    board.get_by_role("link", name="New deal").click()
    desk.page.wait_for_url("**/deals/new*")


def test_a_long_brand_fits_a_phone(sit: Sit, box: Box, bare: str) -> None:
    """A long title takes two lines of the top bar, and a long address in the footer is broken."""
    email = f"the.very.long.address.of.the.helpdesk@{'sub-domain.' * 5}nordwind.example"
    box.applied("branding", {"title": LONG, "support": {"email": email}}, tenant=bare)
    desk = sit(tenant=bare, viewport={"width": 390, "height": 844})
    desk.go("/")
    assert desk.overflow() == 0
    bar = desk.page.locator(".topbar").bounding_box()
    assert bar is not None
    assert bar["height"] <= 64
    desk.shot("long-brand-390-light")


def test_a_logo_that_does_not_load_leaves_the_title(sit: Sit, box: Box, bare: str) -> None:
    """No sign of a broken image is shown, neither at the first load nor after a push to an open page."""
    brand = {"title": "Nordwind", "logo_url": "https://127.0.0.1:1/logo.png"}
    box.applied("branding", brand, tenant=bare)
    desk = sit(tenant=bare)
    desk.go("/")
    brands = desk.page.locator(".side .brand")
    expect(brands.locator("img")).to_be_hidden()
    expect(brands).to_have_text("Nordwind")
    desk.live()
    box.applied("branding", {**brand, "title": "Südwind", "logo_url": "https://127.0.0.1:1/new.png"}, tenant=bare)
    expect(brands).to_have_text("Südwind")
    expect(brands.locator("img")).to_be_hidden()


def test_the_first_day_in_german(sit: Sit, box: Box, bare: str) -> None:
    """Nouns of records appear in no sentence that would need another case of them."""
    box.applied("workspace", {"locale": "de-DE", "currency": "EUR"}, tenant=bare)
    desk = sit(tenant=bare)
    desk.go("/")
    expect(desk.page.get_by_text("0 Geschäfte: 0\u00a0€.")).to_be_visible()
    expect(desk.page.get_by_role("heading", name="Gewonnen diesen Monat")).to_be_visible()
    expect(desk.page.locator("main svg[role=img]")).to_have_count(0)  # no chart of nothing

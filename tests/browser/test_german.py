"""The pages in German: wide enough for its longer words, and its scripts speak it too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from browser.api import Api
from browser.desk import Desk, People
from contract.box import Box

Sit = Callable[..., Desk]
ALL = {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}
PAGES = (
    "/", "/customers", "/customers?status=lead&q=ruder", "/customers/{customer}", "/customers/{customer}/edit",
    "/customers/new", "/customers/import", "/customers/{customer}/erase", "/deals/board", "/deals?view=list",
    "/tasks", "/reports", "/account", "/subscription", "/sync", "/sync/attempts/{attempt}", "/sync/sections/workspace",
    "/mail", "/users", "/users/invite", "/tokens",
)  # fmt: skip
CLIPPED = """() => [...document.querySelectorAll("button, .btn, .badge, .tag, .seg a, nav a, select, .chip")]
    .filter((one) => one.checkVisibility() && one.clientWidth && !one.closest(".vh"))
    .filter((one) => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 2)
    .map((one) => `${one.className}: ${one.textContent.trim()}`)"""
"""Controls whose text is larger than they are."""


@pytest.fixture(scope="module")
def german(box: Box, api: Api) -> Iterator[dict[str, str]]:
    """A workspace whose locale is German, with some records; the ids of its addresses."""
    box.applied("features", {"plan": ALL, "limits": {"customers": 5000}})
    regional = {"timezone": "Europe/Berlin", "currency": "EUR"}
    box.applied("workspace", {**regional, "locale": "de-DE"})
    refused = box.push("branding", {"title": 7}).json()
    owner = People.super_admin.email
    customer = api.put("customers", "verein", name="Ruderverein Hansa", owner=owner, tags=["gruppe"], notes="Anruf.")
    deal = {"name": "Trainingslager", "stage": "proposal", "amount": "24600.00", "currency": "EUR", "owner": owner}
    api.put("deals", "lager", customer_id=customer["id"], closes_on="2026-12-01", **deal)
    api.put("tasks", "angebot", name="Angebot senden", assignee=owner, due_on="2026-01-22", customer_id=customer["id"])
    yield {"customer": customer["id"], "attempt": box.entry(refused["request_id"])["id"]}
    box.applied("workspace", {**regional, "locale": "en-GB"})


def test_no_page_is_too_narrow_for_german(sit: Sit, german: dict[str, str]) -> None:
    """No page overflows, and no button, badge or link of a menu is clipped, wide and narrow."""
    desk = sit()
    wrong: list[tuple[object, ...]] = []
    for path in PAGES:
        desk.go(path.format(**german))
        assert desk.page.evaluate("document.documentElement.lang") == "de"
        for width in (390, 1280):
            desk.page.set_viewport_size({"width": width, "height": 900})
            wrong += [(path, width, "overflow", over)] if (over := desk.overflow()) > 0 else []
            wrong += [(path, width, one) for one in desk.page.evaluate(CLIPPED)]
    assert wrong == []


def test_scripts_speak_the_language_of_the_page(sit: Sit, german: dict[str, str]) -> None:
    """The picker's note, the selection and its bar are in German."""
    desk = sit()
    desk.go("/deals/new")
    box = desk.page.get_by_role("combobox", name="Kunde")
    box.fill("gibtesnicht")
    desk.page.get_by_text("Keine Treffer zu „gibtesnicht“").wait_for()
    desk.go("/customers?q=ruder")
    desk.page.get_by_role("checkbox", name="Ruderverein Hansa auswählen").check()
    desk.page.get_by_text("1 Kunde ausgewählt").wait_for()
    desk.page.get_by_text(re.compile("Ausgewählt: 1 von [0-9]+ auf dieser Seite")).wait_for()  # also right with one

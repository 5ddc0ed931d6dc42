"""Every page in light and dark, wide and narrow: no serious finding of axe and no overflow."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import SHOTS, Desk, People
from browser.pictures import picture
from contract.box import Box

Sit = Callable[..., Desk]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDE = 1280
SIZES = ((WIDE, 900), (390, 844))
PAGES = {
    "dashboard": "/",
    "customers": "/customers",
    "customers-filtered": "/customers?status=active&q=club",
    "customers-none": "/customers?q=nothingmatches",
    "customer": "/customers/{customer}",
    "customer-edit": "/customers/{customer}/edit",
    "customer-erase": "/customers/{customer}/erase",
    "customers-import": "/customers/import",
    "deals-board": "/deals/board",
    "deals-list": "/deals?view=list",
    "tasks": "/tasks",
    "reports": "/reports",
    "account": "/account",
    "subscription": "/subscription",
    "sync": "/sync",
    "attempt": "/sync/attempts/{attempt}",
    "section": "/sync/sections/branding",
    "mail": "/mail",
    "users": "/users/{agent}",
    "invite": "/users/invite",
    "tokens": "/tokens",
    "refusal": "/website",
}
PARTS = tuple(tuple(PAGES)[at : at + 3] for at in range(0, len(PAGES), 3))
"""The pages in the parts that one test visits: a window for each page would cost more, all in one would be too long."""
STATUS = {"refusal": 403, "password-spent": 410}
ANONYMOUS_PAGES = {"login": "/login", "forgot": "/forgot", "password-spent": "/password/spent"}


@pytest.fixture(scope="module")
def filled(box: Box, api: Api) -> dict[str, str]:
    """A workspace in use, and the ids of its addresses."""
    plan = {"code": "starter", "name": "Starter", "features": ["customers.*", "tasks.*", "deals.view", "reports.*"]}
    overrides = {"deals.create": True, "deals.update": True}
    trial = {"state": "trial", "ends_at": "2027-01-31T00:00:00Z"}
    limits = {"customers": 10_000, "users": 25}
    features = {"plan": plan, "overrides": overrides, "subscription": trial, "limits": limits}
    box.applied("features", features)
    branding: dict[str, Any] = {
        "title": "Nordwind Reisen",
        "logo_url": picture(11, 95, 255, 28, 28),
        "colors": {"primary": "#1a4fa3", "accent": "#f2b705", "background": "#f6f8fb", "sidebar": "#0d2137"},
        "sidebar": {"image_url": picture(70, 110, 160, 160, 90), "caption": "Winter programme 2027 is out"},
        "footer": {
            "text": "Nordwind Reisen GmbH, Hamburg",
            "links": [{"label": "Imprint", "url": "https://nordwind.example/imprint"}],
        },
        "support": {"email": "it@nordwind.example"},
        "login_message": "Moin! The phones are being moved on Friday: please note calls as tasks until Monday.",
    }
    box.applied("branding", branding)
    box.applied("branding", {**branding, "colors": {**branding["colors"], "primary": "#0b5fff", "accent": "#e4572e"}})
    box.applied("workspace", {"timezone": "Europe/Berlin", "currency": "EUR", "locale": "en-GB"})
    refused = box.push("branding", {"title": "Late"}, timestamp=1_700_000_000).json()
    box.push("features", {"plan": {"code": "x"}})
    owner = People.super_admin.email
    ids: dict[str, str] = {}
    for number, (name, city, status, tags) in enumerate(CUSTOMERS):
        made = api.put(
            "customers", f"look-{number}", name=name, status=status, tags=tags, owner=owner, address={"city": city},
            email=f"c{number}@mail.example", notes="Boats travel by trailer: ask for secure parking.",
        )  # fmt: skip
        ids.setdefault("customer", made["id"])
    for number, (name, stage, amount) in enumerate(DEALS):
        members = {"name": name, "stage": stage, "amount": amount, "currency": "EUR", "owner": owner}
        api.put("deals", f"look-{number}", customer_id=ids["customer"], closes_on="2026-12-01", **members)
    overdue = {"assignee": owner, "due_on": "2026-01-22", "customer_id": ids["customer"]}
    api.put("tasks", "look-1", name="Send crew rotation offer again", **overdue)
    api.put("tasks", "look-2", name="Collect passport copies", assignee=owner, due_on="2099-11-27")
    entry = box.entry(refused["request_id"])
    return {**ids, "attempt": entry["id"]}


CUSTOMERS = (
    ("Hanseatic Rowing Club", "Hamburg", "active", ["group", "vip"]),
    ("Petersen family", "Flensburg", "active", ["family"]),
    ("Ostsee Yachting GmbH", "Kiel", "active", ["business"]),
    ("Lena Brandt", "Bremen", "lead", ["honeymoon"]),
    ("Gymnasium Altona, class 10b", "Hamburg", "lead", ["group", "school"]),
    ("Baltic Freight Services", "Rostock", "inactive", ["business"]),
)
DEALS = (
    ("Azores whale watching, 2 weeks", "new", "8450.00"),
    ("School trip to Copenhagen", "new", "11380.00"),
    ("Norwegian fjords, cabin upgrade", "qualified", "15720.00"),
    ("Training camp Mallorca, 18 rowers", "proposal", "24600.00"),
    ("Regatta charter Sardinia", "won", "41900.00"),
)


def looked_at(desk: Desk, name: str, path: str) -> list[str]:
    """The errors of a page, wide and narrow, light and dark; takes its screenshots.

    The document is the same each time, so only the contrast is checked in dark.
    """
    desk.go(path, STATUS.get(name, 200))
    wrong = []
    for width, height in SIZES:
        desk.page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            desk.wear(scheme)
            look = f"{name} {width} {scheme}"
            wrong += [f"{look}: {finding}" for finding in desk.serious(contrast_only=scheme == "dark")]
            if scheme == "light" or width == WIDE:
                desk.shot(f"{name}-{width}-{scheme}")
        if desk.overflow() > 0:
            wrong.append(f"{name}: {desk.overflow()} px wider than {width}")
        wrong += [f"{name} {width}: too small: {target}" for target in desk.small_targets()]
    return wrong


@pytest.mark.parametrize("names", PARTS, ids="+".join)
def test_every_page(sit: Sit, filled: dict[str, str], names: tuple[str, ...]) -> None:
    """No page has a serious finding of axe, is wider than its window or has small targets, wide and narrow."""
    desk = sit(reduced_motion="reduce")
    desk.check_pages()
    ids = filled
    if "users" in names:
        desk.go("/users")
        href = desk.page.get_by_role("link", name=People.agent.full_name).get_attribute("href") or ""
        ids = {**filled, "agent": href.rpartition("/")[2]}
    assert [found for name in names for found in looked_at(desk, name, PAGES[name].format(**ids))] == []


def test_pages_before_signing_in(sit: Sit, filled: dict[str, str]) -> None:
    """No page without a signed-in user has a serious finding or is wider than its window."""
    desk = sit(who=None)
    desk.check_pages()
    assert [found for name, path in ANONYMOUS_PAGES.items() for found in looked_at(desk, name, path)] == []


def test_states_of_pages(sit: Sit, api: Api, box: Box, filled: dict[str, str]) -> None:
    """A form with errors, a conflict, an open menu and a dialog have no serious finding either."""
    desk = sit(reduced_motion="reduce")
    desk.check_pages()
    page = desk.page
    desk.go("/customers/new")
    page.get_by_label("Email").fill("no address")
    page.get_by_role("button", name="Create customer").click()
    page.get_by_text(re.compile(". fields need attention")).wait_for()
    wrong = desk.serious()
    desk.shot("customer-errors-1280-light")
    desk.go(f"/customers/{filled['customer']}/edit")
    page.get_by_label("Phone").fill("+49 40 555 01 77")
    api.put("customers", "look-0", phone="+49 171 555 40 12", tags=["group"])
    page.get_by_role("button", name="Save").click()
    page.locator(".merge").wait_for()
    wrong += desk.serious()
    desk.shot("customer-conflict-1280-light")
    desk.go("/deals/board")
    page.get_by_role("button", name=re.compile("^Move")).first.click()
    wrong += desk.serious()
    desk.shot("deals-menu-1280-light")
    desk.go("/sync/sections/branding")
    page.get_by_role("button", name=re.compile("^Restore")).click()
    wrong += desk.serious()
    desk.shot("section-dialog-1280-light")
    page.set_viewport_size({"width": 390, "height": 844})
    desk.go("/")
    page.get_by_role("button", name="Menu").click()
    wrong += desk.serious()
    desk.shot("menu-390-light")
    assert wrong == []


@pytest.mark.parametrize("name", ["dashboard", "deals-board", "sync", "attempt"])
def test_pictures_of_the_docs(sit: Sit, filled: dict[str, str], name: str) -> None:
    """The screenshots in docs/workspace.md stay under 150 kB; CRM_PICTURES=1 takes them again."""
    desk = sit(reduced_motion="reduce", viewport={"width": 1280, "height": 800}, device_scale_factor=0.75)
    desk.go(PAGES[name].format(**filled))
    folder = PICTURES if os.environ.get("CRM_PICTURES") else SHOTS
    folder.mkdir(exist_ok=True)
    desk.page.screenshot(path=folder / f"workspace-{name}.png")
    assert (PICTURES / f"workspace-{name}.png").stat().st_size < 150_000


def test_a_bare_workspace(sit: Sit) -> None:
    """Before anything was created, pages open without a serious finding; a list says where records come from."""
    desk = sit(tenant="bare", reduced_motion="reduce")
    desk.check_pages()
    wrong: list[str] = []
    for name in ("", "sync", "mail", "customers"):
        desk.go(f"/{name}")
        wrong += desk.serious()
        desk.shot(f"bare-{name or 'dashboard'}-1280-light")
    empty = desk.page.locator(".empty")
    expect(empty).to_contain_text("Customers come from a CSV file or from another system, or you add them yourself.")
    for name in ("New customer", "Import"):
        expect(empty.get_by_role("link", name=name)).to_be_visible()
    assert wrong == []


def test_a_brand_without_contrast(sit: Sit, box: Box, filled: dict[str, str]) -> None:
    """With yellow fills, a yellow sidebar and grey text, every text has enough contrast."""
    fills = {"primary": "#ffe600", "accent": "#ff2e93", "sidebar": "#ffe600"}
    colors = {**fills, "background": "#fffdf2", "text": "#8a8a8a"}
    box.applied("branding", {"title": "Sol y Mar Viajes", "colors": colors, "sidebar": {"caption": "Carnaval 2027"}})
    desk = sit(reduced_motion="reduce")
    desk.check_pages()
    wrong: list[str] = []
    for name in ("dashboard", "deals-board", "sync", "customer-edit"):
        desk.go(PAGES[name].format(**filled))
        for scheme in SCHEMES:
            desk.wear(scheme)
            wrong += [f"{name} {scheme}: {finding}" for finding in desk.serious(contrast_only=True)]
            desk.shot(f"{name}-solymar-1280-{scheme}")
    assert wrong == []

"""Pages on paper and in forced colors, and the names of people and records that fit no layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from browser.api import Api
from browser.desk import PASSWORD, Desk, People
from contract.box import TENANT, Box

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]
LONG = "Friederike-Charlotte von der Marwitz-Schulenburg-Hohenstein"


def _style(found: Locator, name: str) -> str:
    return str(found.evaluate("(one, name) => getComputedStyle(one)[name]", name))


def test_what_is_chosen_shows_in_forced_colors(sit: Sit, api: Api) -> None:
    """Only a done task has a check; the current tab, a filter that is on and the kind of a note have an outline."""
    for number in range(2):
        api.put("tasks", f"forced-{number}", name=f"Forced {number}", done=bool(number), assignee=People.agent.email)
    customer = api.put("customers", "forced", name="Forced Rowers")
    desk = sit(People.agent, forced_colors="active")
    page = desk.page
    desk.go("/tasks?view=list&q=forced")
    checks = [
        _style(page.get_by_role("button", name=f"Done: Forced {number}").locator(".i"), "visibility")
        for number in (0, 1)
    ]
    assert checks == ["hidden", "visible"]
    desk.go(f"/tasks?view=list&assignee={People.agent.email}")
    assert _style(page.get_by_role("link", name="Mine", exact=True), "outlineStyle") == "solid"
    desk.go("/tasks?view=list")
    tabs = page.get_by_role("navigation", name="Views of Tasks").get_by_role("link")
    assert [_style(tabs.nth(at), "outlineStyle") for at in (0, 1)] == ["solid", "none"]
    desk.go(f"/customers/{customer['id']}")
    kinds = page.locator(".kinds label")
    assert [_style(kinds.nth(at), "outlineStyle") for at in (0, 1)] == ["solid", "none"]


def test_paper_is_white(sit: Sit, api: Api) -> None:
    """A page printed from the dark scheme has dark text, no strip in the color of the sidebar, and no buttons."""
    made = api.put("customers", "paper", name="Paper Rowers")
    desk = sit(People.agent, color_scheme="dark")
    desk.go(f"/customers/{made['id']}")
    app, heading = desk.page.locator(".app"), desk.page.get_by_role("heading", level=1)
    bright = _style(heading, "color")
    desk.page.emulate_media(media="print")
    assert _style(heading, "color") != bright
    assert _style(app, "backgroundImage") == "none"
    for controls in (".btn", ".pen", ".composer"):
        expect(desk.page.locator(controls).first).to_be_hidden()


def test_a_long_name_fits_a_phone(sit: Sit, box: Box, api: Api, aside: Callable[..., object]) -> None:
    """The button that disables a user breaks the name; on a record the owner's name stays clear of the pen."""
    email = "friederike@nordwind.example"
    words = (
        "user",
        "create",
        "--tenant",
        TENANT,
        "--email",
        email,
        "--name",
        LONG,
        "--role",
        "agent",
        "--password-stdin",
    )
    aside(lambda: box.crm(*words, stdin=f"{PASSWORD}\n"))
    customer = api.put("customers", "long", name="Long Rowers", owner=email)
    desk = sit(viewport={"width": 320, "height": 700})
    page = desk.page
    desk.go("/users")
    page.get_by_role("link", name=LONG).click()
    expect(page.get_by_role("button", name=f"Disable {LONG}")).to_be_visible()
    assert desk.overflow() == 0
    desk.go(f"/customers/{customer['id']}")
    who, pen = (
        page.locator(".editable .who").bounding_box(),
        page.get_by_role("link", name="Change owner").bounding_box(),
    )
    assert who is not None
    assert pen is not None
    assert who["x"] + who["width"] <= pen["x"]


def test_a_text_without_spaces_is_broken(sit: Sit, box: Box, api: Api, aside: Callable[..., object]) -> None:
    """No list scrolls sideways because of one row, and neither a duplicate's name nor a token's widens its page."""
    same = {"name": "W" * 200, "email": "unbroken@nordwind.example"}
    customer, other = (api.put("customers", f"unbroken-{at}", company="C" * 200, **same)["id"] for at in (0, 1))
    aside(lambda: box.crm("token", "create", "--tenant", TENANT, "--name", "N" * 100, "--scope", "customers:read"))
    desk = sit(reduced_motion="reduce")
    desk.go("/customers?q=unbroken")
    assert desk.page.locator(".scroll").evaluate("one => one.scrollWidth - one.clientWidth") == 0
    for path in (f"/customers/{customer}", f"/customers/{customer}/compare/{other}", "/tokens"):
        desk.go(path)
        assert (path, desk.overflow()) == (path, 0)


def test_the_breadcrumb_of_a_name_from_right_to_left(sit: Sit, api: Api) -> None:
    """The stroke is between the list and the name, not behind the name."""
    made = api.put("customers", "hebrew", name="שלום")
    desk = sit(People.agent)
    desk.go(f"/customers/{made['id']}")
    crumb = desk.page.locator(".crumbs [aria-current]")
    assert _style(crumb, "direction") == "ltr"
    assert _style(crumb.locator("bdi"), "direction") == "rtl"


@pytest.mark.parametrize("path", ["/customers/new", "/customers?q=announced"])
def test_a_toast_on_a_phone_covers_no_bar(sit: Sit, box: Box, api: Api, path: str) -> None:
    """The buttons of a form and the acts on a selection can be tapped while something is announced."""
    api.put("customers", "announced", name="Announced Rowers")
    desk = sit(People.agent, viewport={"width": 390, "height": 700}, reduced_motion="reduce")
    page = desk.page
    desk.go(path)
    desk.live()
    boxes = page.locator("tbody").get_by_role("checkbox")
    if boxes.count():
        boxes.first.check()
    box.applied("branding", {"title": f"Nordwind on {path}"})
    toast, bar = page.locator(".toast").bounding_box(), page.locator(".sticky-foot, .bulk").bounding_box()
    assert toast is not None
    assert bar is not None
    assert toast["y"] + toast["height"] <= bar["y"]

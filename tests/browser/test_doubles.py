from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from browser.api import Api
from browser.desk import Desk, People

Sit = Callable[..., Desk]
pytestmark = pytest.mark.usefixtures("plain")


@pytest.mark.parametrize(("width", "script"), [(1280, True), (390, True), (390, False)])
def test_a_duplicate_is_compared_and_set_aside(sit: Sit, api: Api, width: int, script: bool) -> None:
    """From the banner to the comparison and back with keys alone, also without script; then both pages are quiet."""
    case = f"{width}-{script}"
    name, email = f"Twin Rowing {case}", f"office-{case}@twin-rowing.example"
    one = api.put("customers", f"{case}-1", name=name, email=email, phone="+49 40 111222", company="Twin GmbH")
    two = api.put("customers", f"{case}-2", name=f"{name} e. V.", email=email, tags=["group"], notes="Two\nlines " * 9)
    desk = sit(People.agent, viewport={"width": width, "height": 800}, java_script_enabled=script)
    page = desk.page
    if script:
        desk.check_pages()
    desk.go(f"/customers/{one['id']}")
    banner = page.locator(".banner", has_text="may be the same customer.")
    expect(banner).to_contain_text("Both have the same email address.")
    if script:
        looks_right(desk, f"double-{width}")
    banner.get_by_role("link", name="Compare").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare")
    expect(page.locator("tr", has_text="Company")).to_contain_text("Different")
    left, right = (box(link) for link in page.locator("thead a").all())
    assert left["y"] == right["y"]
    assert left["x"] < right["x"]
    if script:
        looks_right(desk, f"compare-{width}")
    page.get_by_role("button", name="Not a duplicate").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.locator(".toast")).to_contain_text(f"Remembered: {name} e. V. is not a duplicate")
    for record in (one, two):
        desk.go(f"/customers/{record['id']}")
        expect(banner).to_have_count(0)
    if script:
        looks_right(desk, f"distinct-{width}")
    page.locator("dl div", has_text="Not a duplicate of").get_by_role("link", name=name).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="May be a duplicate").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text(f"{name} may be a duplicate again")
    expect(banner).to_have_count(1)


def test_the_one_that_is_not_needed_is_archived_from_the_comparison(sit: Sit, api: Api) -> None:
    """Each has its button, with Undo as everywhere; one who may not archive has none."""
    one = api.put("customers", "spare-1", name="Spare Boats", email="post@spare.example")
    api.put("customers", "spare-2", name="Spare Boats Ltd", email="post@spare.example")
    desk = sit(People.manager)
    desk.go(f"/customers/{one['id']}")
    desk.page.locator(".banner").get_by_role("link", name="Compare").click()
    address = desk.page.url.removeprefix(desk.root)
    desk.page.get_by_role("button", name="Archive Spare Boats Ltd").click()
    expect(desk.page.locator(".toast")).to_contain_text("Spare Boats Ltd archived")
    desk.page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(desk.page.locator(".toast")).to_contain_text("restored")
    desk.go(address)
    reader = sit(People.viewer)
    reader.go(address)
    expect(reader.page.get_by_role("button", name="Archive")).to_have_count(0)


def box(link: Locator) -> dict[str, float]:
    """Where a link is."""
    found = link.bounding_box()
    assert found is not None
    return dict(found)


def looks_right(desk: Desk, name: str) -> None:
    """Check that the page fits and is accessible, light and dark."""
    assert desk.overflow() <= 0
    for dark in (False, True):
        desk.wear("dark" if dark else "light")
        assert desk.serious(contrast_only=dark) == []
        desk.shot(f"{name}-{'dark' if dark else 'light'}")
    desk.wear("light")

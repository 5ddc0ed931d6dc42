from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People
from browser.pictures import picture
from contract.box import Box

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]

WITHOUT_DEALS = {"code": "small", "name": "Small", "features": ["customers.*", "tasks.*"]}
ALL = {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}
WATCH = """() => {
    const changed = {};
    let frame = 0;
    const note = (name) => { changed[name] ??= frame; };
    const check = () => {
        frame += 1;
        if (document.title.endsWith('Sol y Mar')) note('title');
        if (document.querySelector('.side .brand span')?.textContent === 'Sol y Mar') note('side');
        if (document.querySelector('.side .brand img')?.src.includes('/picture/')) note('logo');
        const fill = getComputedStyle(document.querySelector('.btn.primary')).backgroundColor;
        if (fill === 'rgb(255, 230, 0)') note('color');
        if (document.querySelector('.side figcaption')?.textContent === 'Carnaval') note('caption');
        requestAnimationFrame(check);
    };
    check();
    window.changedAt = changed;
    window.mark = document.querySelector('#main');
}"""


def test_a_push_changes_the_open_page(sit: Sit, box: Box) -> None:
    """Title, colors, logo and caption change together in the open page, without a reload."""
    desk = sit(People.agent)
    page = desk.page
    desk.go("/customers/new")
    desk.live()
    page.get_by_label("Name (required)").fill("Half written")
    page.evaluate(WATCH)
    branding = {
        "title": "Sol y Mar",
        "logo_url": picture(255, 230, 0),
        "colors": {"primary": "#ffe600", "sidebar": "#ffe600", "text": "#8a8a8a"},
        "sidebar": {"caption": "Carnaval"},
    }
    box.applied("branding", branding)
    page.wait_for_function("() => Object.keys(window.changedAt).length === 5")
    changed = page.evaluate("window.changedAt")
    assert max(changed.values()) - min(changed.values()) <= 3, changed  # frames: all in one go
    assert page.evaluate("window.mark === document.querySelector('#main')"), "the page was reloaded"
    assert page.get_by_label("Name (required)").input_value() == "Half written"
    assert page.evaluate("document.activeElement.id") == "f-name"
    expect(page.locator(".toast")).to_contain_text("New branding applied")


def test_a_module_removed_under_an_open_page(sit: Sit, box: Box) -> None:
    """The open page says that its module is gone and links to the dashboard; the menu drops it and gets it back."""
    desk = sit(People.agent)
    page = desk.page
    menu = page.get_by_role("navigation", name="Workspace")
    desk.go("/deals/board")
    desk.live()
    box.applied("features", {"plan": WITHOUT_DEALS})
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("no longer part of your workspace")
    expect(menu.get_by_role("link", name="Deals")).to_have_count(0)
    expect(alert.get_by_role("link", name="Go to the dashboard")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{desk.root}/")
    desk.go("/deals/board", status=403)
    expect(page.get_by_role("heading", level=1)).to_have_text("This module is not part of your workspace")
    expect(page.get_by_text("Your plan does not include it.")).to_be_visible()
    desk.go("/")
    desk.live()
    box.applied("features", {"plan": ALL})
    expect(menu.get_by_role("link", name="Deals")).to_be_visible()


def test_a_record_that_changed_shows_it(sit: Sit, api: Api) -> None:
    """An open record and a list's total are updated; new rows wait behind a button, so that no row moves meanwhile."""
    record = api.put("customers", "live", name="Live Ltd", phone="+49 1")
    reader, lister = sit(People.agent), sit(People.manager)
    reader.go(f"/customers/{record['id']}")
    reader.live()
    lister.go("/customers")
    lister.live()
    first = lister.page.locator("tbody th").first.inner_text()
    total = lister.page.locator(".page-head p")
    number = int(total.inner_text().split()[0])
    api.put("customers", "live", phone="+49 2")
    api.put("customers", "live-2", name="Newcomer Ltd")
    expect(reader.page.locator("[data-live=details]")).to_contain_text("+49 2")
    news = lister.page.locator("[data-news] button")
    expect(news).to_be_visible()
    expect(total).to_have_text(f"{number + 1} in total")
    assert lister.page.locator("tbody th").first.inner_text() == first
    news.click()
    expect(lister.page.locator("tbody th").first).to_contain_text("Newcomer Ltd")


def test_a_suspended_subscription_shows_in_open_pages(sit: Sit, box: Box) -> None:
    """The banner appears without a reload, and the form for a new record is refused with the reason."""
    desk = sit(People.agent)
    page = desk.page
    desk.go("/")
    desk.live()
    box.applied("features", {"plan": ALL, "subscription": {"state": "suspended"}})
    expect(page.get_by_text("Your subscription is suspended.")).to_be_visible()
    desk.go("/customers")
    expect(page.get_by_role("link", name="New customer")).to_have_count(0)
    desk.go("/customers/new", status=403)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your subscription is suspended")


def test_the_console_follows_refused_pushes_too(sit: Sit, box: Box) -> None:
    """The open console offers an applied push behind a button, and its status shows a refused one."""
    desk = sit()
    page = desk.page
    desk.go("/sync")
    desk.live()
    news = page.locator("#attempts [data-news] button")
    box.applied("workspace", {"timezone": "Europe/Madrid", "currency": "EUR", "locale": "en-GB"})
    expect(news).to_be_visible()
    news.click()
    expect(page.locator("#attempts tbody tr").first).to_contain_text("workspace")
    assert box.push("branding", {"title": 5}).status_code == 422
    expect(page.locator("#status")).to_contain_text("The newest push was refused")


def test_every_open_tab_shows_a_push(sit: Sit, box: Box) -> None:
    """Seven open tabs of one browser all show a push: none of them waits for a connection."""
    desk = sit(People.agent)
    desk.go("/")
    desk.live()
    tabs = [desk.watched(desk.context.new_page()) for _ in range(6)]
    for tab in tabs:
        tab.goto(f"{desk.root}/account")
    box.applied("branding", {"title": "Seven tabs"})
    for tab in (desk.page, *tabs):
        expect(tab.locator(".side .brand")).to_contain_text("Seven tabs")


def test_signing_out_elsewhere_ends_the_open_page(sit: Sit) -> None:
    """Signing out in one tab shows a notice with a link to sign in in the other."""
    desk = sit(People.viewer, fresh=True)
    page = desk.page
    desk.go("/account")
    desk.live()
    other = desk.watched(desk.context.new_page())
    other.goto(f"{desk.root}/")
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("You are signed out")
    expect(page.get_by_role("alert").get_by_role("link", name="Sign in")).to_be_visible()

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.desk import Desk, People
from contract.box import Box

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]


def test_the_first_painted_frame_wears_the_brand(sit: Sit, box: Box) -> None:
    """On a cold load no frame shows the product's own colors before the tenant's."""
    box.applied("branding", {"title": "Sol y Mar", "colors": {"primary": "#ff0000", "sidebar": "#00ff00"}})
    desk = sit(People.agent)
    session = desk.context.new_cdp_session(desk.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    slow = {"offline": False, "latency": 60, "downloadThroughput": 60_000, "uploadThroughput": 60_000}
    session.send("Network.emulateNetworkConditions", slow)
    frames: list[bytes] = []

    def save(event: dict[str, Any]) -> None:
        frames.append(base64.b64decode(event["data"]))
        session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    session.on("Page.screencastFrame", save)
    session.send("Page.startScreencast", {"format": "png", "everyNthFrame": 1})
    desk.page.goto("about:blank")
    frames.clear()
    desk.go("/customers")
    for _ in range(300):
        desk.page.wait_for_timeout(100)
        if frames and _pixel(desk, frames[-1], 20, 500) == [0, 255, 0]:
            break
    session.send("Page.stopScreencast")
    assert frames
    seen = [_pixel(desk, frame, 20, 500) for frame in frames]
    blank = [255, 255, 255]
    assert [0, 255, 0] in seen
    assert all(pixel in ([0, 255, 0], blank) for pixel in seen), seen


def _pixel(desk: Desk, frame: bytes, x: int, y: int) -> list[int]:
    """The color of a point in a frame, read by the browser."""
    data = "data:image/png;base64," + base64.b64encode(frame).decode()
    return list(
        desk.page.evaluate(
            """async ([data, x, y]) => {
                const image = new Image();
                image.src = data;
                await image.decode();
                const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
                canvas.drawImage(image, 0, 0);
                const scale = image.width / innerWidth;
                return [...canvas.getImageData(Math.round(x * scale), Math.round(y * scale), 1, 1).data].slice(0, 3);
            }""",
            [data, x, y],
        )
    )


def test_the_first_load_is_light(sit: Sit, record_property: Callable[[str, object], None]) -> None:
    """Page, theme, stylesheet, scripts and icons weigh less than 100 KB together on a cold load."""
    desk = sit(People.agent, cold=True)
    desk.go("/customers")
    weights = desk.page.evaluate(
        """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter((one) => !one.name.endsWith("/events")).map((one) => [one.name, one.transferSize])"""
    )
    assert len(weights) >= 6, weights
    total = sum(size for _, size in weights)
    record_property("first load", f"{total} bytes in {len(weights)} requests")
    assert total < 100_000, weights


def test_the_browser_caches_assets(sit: Sit) -> None:
    """Stylesheets, scripts and the theme are fetched once; the next page loads them from the browser's cache."""
    desk = sit(People.agent, cold=True)
    _loaded_assets(desk, "/customers")
    again = _loaded_assets(desk, "/account")
    assert again
    assert sum(size for _, size in again) == 0, again


def _loaded_assets(desk: Desk, path: str) -> list[tuple[str, int]]:
    """Open a page and return its assets, each with the bytes that came over the network.

    A browser with windows fetches the icon after the load event, one without does not: the page fetches it itself.
    """
    desk.go(path)
    desk.page.evaluate("""async () => { await (await fetch(document.getElementById("icon").href)).blob() }""")
    return [
        (str(name), int(size))
        for name, size in desk.page.evaluate(
            """() => performance.getEntriesByType("resource")
                .filter((one) => /static|theme/.test(one.name)).map((one) => [one.name, one.transferSize])"""
        )
    ]


def test_the_users_own_scheme_is_there_at_the_first_paint(sit: Sit) -> None:
    """The page comes from the server with the chosen dark scheme; following the system writes none."""
    desk = sit(People.agent)
    desk.go("/account")
    desk.page.get_by_role("button", name="Dark").click()
    expect(desk.page.locator("html")).to_have_attribute("data-scheme", "dark")
    assert 'data-scheme="dark"' in desk.go("/").text()
    desk.go("/account")
    desk.page.get_by_role("button", name="Same as system").click()
    assert "data-scheme" not in desk.go("/").text()


def test_a_dark_brand_makes_dark_the_default(sit: Sit, box: Box) -> None:
    """A pushed dark background turns pages dark for those who did not choose."""
    box.applied("branding", {"title": "Night", "colors": {"background": "#101418"}})
    desk = sit(who=None)
    assert 'data-scheme="dark"' in desk.go("/login").text()

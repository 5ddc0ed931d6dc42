"""A browser window for tests."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Response, expect

PASSWORD = "seven sailing boats"
PATIENCE = 30_000  # milliseconds: a sign-in hashes in threads that give way to everything else on a busy machine
_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_FAILED = re.compile(r"the server responded with a status of (5\d\d)")
"""The console's line for a failed request; to hear of every response costs a tenth of the CPU of a test's process."""
_SMALL = """
() => [...document.querySelectorAll("a[href], button, summary, select, textarea, input:not([type=hidden])")]
  .filter((one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
  .filter((one) => !one.closest(".vh, .skip, .focus-only, p"))
  .map((one) => [one, (one.closest("label") ?? one).getBoundingClientRect()])
  .filter(([, at]) => Math.min(at.width, at.height) < 23.5)
  .map(([one, at]) => `${one.outerHTML.slice(0, 120)} ${at.width.toFixed(1)}x${at.height.toFixed(1)}`)
"""
SHOTS = Path(__file__).parents[2] / ".screenshots"


expect.set_options(timeout=PATIENCE)


class People(Enum):
    """The users of the tests' tenants, by role."""

    super_admin = "Jana Albers"
    admin = "Silke Wulff"
    manager = "Mehmet Aydin"
    agent = "Tobias Kern"
    viewer = "Nils Paulsen"

    @property
    def full_name(self) -> str:
        return self.value

    @property
    def email(self) -> str:
        return f"{self.name.replace('_', '-')}@nordwind.example"


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A new profile of the browser: no cookie, nothing stored, an empty cache."""
    made = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    made.set_default_timeout(PATIENCE)
    return made


class Desk:
    """A window. ``wrong`` collects script errors, refused content, dialogs and responses of 500."""

    def __init__(self, context: BrowserContext, root: str) -> None:
        self.root = root
        self.wrong: list[str] = []
        self.expected: set[int] = set()
        self.context = context
        self.page = self.watched(self.context.new_page())

    def watched(self, page: Page) -> Page:
        """A page of this window whose errors are recorded."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("dialog", self._dialog)
        return page

    def sign_in(self, who: People) -> None:
        """Sign in through the form."""
        self.go("/login")
        self.page.fill("#email", who.email)
        self.page.fill("#password", PASSWORD)
        self.page.click("form[action$='/login'] button")  # in any language
        self.page.wait_for_url(f"{self.root}/")

    def go(self, path: str, status: int = 200) -> Response:
        """Open a page and check its status."""
        self.expected.add(status)
        answer = self.page.goto(self.root + path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        return answer

    def reload(self) -> None:
        """Reload a page that is complete: before its scripts have run, Reload sends the form again that led to it."""
        self.page.wait_for_load_state()
        self.page.reload()

    def live(self) -> None:
        """Wait until the page's event stream is open."""
        self.page.locator("body[data-live=on]").wait_for()  # a handle would load all of the driver's script again

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def small_targets(self) -> list[str]:
        """What can be tapped and is under 24 px high or wide; a control counts with its label."""
        found: list[str] = self.page.evaluate(_SMALL)
        return found

    def wear(self, scheme: Literal["light", "dark"]) -> None:
        """Switch the system to light or dark, and wait until the page is painted."""
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 60)))")

    def check_pages(self) -> None:
        """Have axe in every page from now on, which costs half of what it does to bring it to each one."""
        self.page.add_init_script(_AXE)

    def serious(self, *, contrast_only: bool = False) -> list[str]:
        """The serious findings of axe on the page, each with its first element."""
        if not self.page.evaluate("'axe' in self"):
            self.page.evaluate(_AXE)
        rules = {"type": "rule", "values": ["color-contrast"]} if contrast_only else {"type": "tag", "values": _TAGS}
        options = {"runOnly": rules, "resultTypes": ["violations"]}
        violations = self.page.evaluate("async (options) => (await axe.run(options)).violations", options)
        found = [one for one in violations if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0].get('failureSummary')}" for one in found]

    def leave(self) -> None:
        """Close every tab; the context can be used again."""
        for page in self.context.pages:
            page.close()

    def shot(self, name: str) -> None:
        """Save a screenshot of the whole page, for people to look at, if CRM_SCREENSHOTS is set."""
        if not os.environ.get("CRM_SCREENSHOTS"):
            return
        SHOTS.mkdir(exist_ok=True)
        self.page.evaluate("scrollTo(0, 0)")  # fixed elements would be drawn at the scroll position
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def _console(self, message: ConsoleMessage) -> None:
        failed = _FAILED.search(message.text)
        refused = message.type == "error" and failed is None and "Failed to load resource" not in message.text
        if refused or "Content Security Policy" in message.text:
            self.wrong.append(f"console: {message.text}")
        if failed:
            self.wrong.append(f"{failed[1]} {message.location['url']}")

    def _dialog(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.wrong.append(f"dialog: {dialog.message}")
        dialog.accept()

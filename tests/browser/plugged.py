"""An instance with a plugin of one file, for browser tests of its record type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from browser.desk import PASSWORD, Desk, People, new_context
from contract.box import TENANT, Box

Aside = Callable[[Callable[[], Box]], Box]
"""Runs something in another thread."""


@contextmanager
def plugged(folder: Path, name: str, text: str, features: list[str], aside: Aside) -> Iterator[Box]:
    """A running instance with the plugin, whose tenant has these features and a manager."""
    (folder / "plugins").mkdir()
    (folder / "plugins" / f"{name}.py").write_text(text)
    box = Box(folder / "home", settings={"plugins": {"folders": [str(folder / "plugins")]}})

    def started() -> Box:
        box.create_tenants().start()
        words = ("--email", People.manager.email, "--name", "Mehmet Aydin", "--role", "manager", "--password-stdin")
        box.crm("user", "create", "--tenant", TENANT, *words, stdin=PASSWORD + "\n")
        box.applied("features", {"plan": {"code": "a", "name": "A", "features": features}})
        return box

    try:
        yield aside(started)
    finally:
        assert box.stop() == 0


@contextmanager
def window(browser: Browser, box: Box) -> Iterator[Desk]:
    """The manager's window; nothing may go wrong in it."""
    desk = Desk(new_context(browser), f"{str(box.client.base_url).rstrip('/')}/i/eu1/t/{TENANT}")
    desk.sign_in(People.manager)
    yield desk
    desk.context.close()
    assert desk.wrong == []

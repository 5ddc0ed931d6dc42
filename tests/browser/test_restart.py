from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from browser.desk import PASSWORD, Desk, People, new_context
from contract.box import TENANT, Box
from free_ports import free_port


def test_an_open_page_catches_up_after_a_restart(tmp_path: Path, browser: Browser, aside: Callable[..., Any]) -> None:
    """While the server is down the page says so; after its restart, the page shows what was pushed in the meantime."""
    port = free_port()
    box = aside(lambda: Box(tmp_path, settings={"listen": f"127.0.0.1:{port}"}).create_tenants().start())
    try:
        words = ("user", "create", "--tenant", TENANT, "--email", People.super_admin.email, "--role", "super_admin")
        aside(lambda: box.crm(*words, "--password-stdin", stdin=PASSWORD + "\n"))
        desk = Desk(new_context(browser), f"http://127.0.0.1:{port}/i/eu1/t/{TENANT}")
        desk.sign_in(People.super_admin)
        desk.go("/sync")
        desk.live()
        assert box.stop() == 0
        expect(desk.page.locator("[data-live-word]")).to_have_text("Not live, reconnecting")
        box.start()
        box.applied("branding", {"title": "Back again"})
        expect(desk.page.locator(".side .brand")).to_contain_text("Back again")
        expect(desk.page.locator("[data-live-word]")).to_contain_text("Live")
        assert desk.wrong == []
        desk.context.close()
    finally:
        box.stop()

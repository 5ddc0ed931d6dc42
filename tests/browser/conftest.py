"""A served instance, a real browser, and a desk: a signed-in browser window that records errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from browser.api import SCOPES, Api
from browser.desk import PASSWORD, Desk, People, new_context
from browser.office import OFFICE, fill
from chromium import chromium
from contract.box import TENANT, Box, roster_key
from free_ports import free_port

T = TypeVar("T")
ALL = {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def mail_port() -> int:
    """The port of the tests' mail server."""
    return free_port()


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory, mail_port: int) -> Iterator[Box]:
    """An instance: ``northwind`` has users, records and a brand, ``bare`` only users, ``office`` nothing at first."""
    roster = {TENANT: {"keys": [roster_key()]}} | {name: {"keys": [roster_key(name)]} for name in ("bare", OFFICE)}
    settings = {"smtp": {"allow_private_hosts": True, "ports": [25, 465, 587, 2525, mail_port]}}
    made = Box(tmp_path_factory.mktemp("browser"), tenants=roster, settings=settings).create_tenants().start()
    try:
        for tenant in (TENANT, "bare"):
            for one in People:
                made.crm(
                    "user", "create", "--tenant", tenant, "--email", one.email, "--name", one.full_name,
                    "--role", one.name, "--password-stdin", stdin=PASSWORD + "\n",
                )  # fmt: skip
        made.bearer(*SCOPES)
        made.bearer()
        yield made
    finally:
        assert made.stop() == 0


@pytest.fixture(scope="session")
def api(box: Box) -> Api:
    return Api(box)


@pytest.fixture(scope="session")
def aside() -> Callable[[Callable[[], T]], T]:
    """Run something in another thread: commands run an event loop, and the browser's driver occupies this thread's."""
    pool = ThreadPoolExecutor(1)
    return lambda work: pool.submit(work).result()


@pytest.fixture(scope="session")
def office(box: Box, aside: Callable[[Callable[[], None]], None]) -> str:
    """The tenant with 5,000 customers."""
    aside(lambda: fill(box))
    return OFFICE


@pytest.fixture(scope="session")
def browser(box: Box) -> Iterator[Browser]:
    with sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"],
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def signed_in() -> dict[tuple[str, People], Any]:
    """Cookies of sign-ins that tests share; a test that signs out uses ``fresh=True``."""
    return {}


@pytest.fixture(scope="session")
def idle() -> defaultdict[str, list[BrowserContext]]:
    """Contexts without tabs, by their options: a new one starts a process and loads every script again."""
    return defaultdict(list)


@pytest.fixture
def sit(
    box: Box, browser: Browser, signed_in: dict[tuple[str, People], Any], idle: dict[str, list[BrowserContext]]
) -> Iterator[Callable[..., Desk]]:
    """Open a new tab and sign in; at the end no tab may have recorded an error.

    The context may have been another test's: its cookies are set again, and pages store all else in their tab. With
    ``fresh`` the sign-in is new, with ``cold`` the browser has loaded nothing before.
    """
    opened: list[tuple[str, Desk]] = []

    def open_desk(
        who: People | None = People.super_admin,
        tenant: str = TENANT,
        *,
        fresh: bool = False,
        cold: bool = False,
        **options: Any,
    ) -> Desk:
        root = f"{str(box.client.base_url).rstrip('/')}/i/eu1/t/{tenant}"
        known = None if who is None or fresh else signed_in.get((tenant, who))
        alike = str((tenant, who, options))
        context = new_context(browser, **options) if cold or not idle[alike] else idle[alike].pop()
        context.clear_cookies()
        if known is not None:
            context.add_cookies(known)
        desk = Desk(context, root)
        opened.append((alike, desk))
        if who is not None and known is None:
            desk.sign_in(who)
            if not fresh:
                signed_in[tenant, who] = context.cookies()
        return desk

    yield open_desk
    wrong = [line for _, desk in opened for line in desk.wrong]
    for alike, desk in opened:
        desk.leave()
        idle[alike].append(desk.context)
    assert wrong == []


@pytest.fixture
def plain(box: Box) -> None:
    """The tenant's usual features and brand, regardless of what an earlier test pushed."""
    box.applied("features", {"plan": ALL})
    box.applied("branding", {"title": "Nordwind Reisen", "colors": {"primary": "#0b5fff", "sidebar": "#0d2137"}})
    box.applied("workspace", {"timezone": "Europe/Berlin", "currency": "EUR", "locale": "en-GB"})

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from contract.box import Box
from visitor import EVERYTHING, Visitor


@pytest.fixture
def german(alan: Visitor) -> Iterator[Visitor]:
    """An agent whose pages are in German."""
    alan.post("/account", "/account/language", language="de")
    yield alan
    alan.post("/account", "/account/language", language="")


def test_a_user_chooses_the_language_of_pages(german: Visitor, grace: Visitor) -> None:
    """The account page offers every catalogue by its own name; the choice is this user's alone."""
    page = german.get("/account")
    assert '<html lang="de"' in page
    assert '<option value="de" selected>Deutsch</option>' in page
    assert '<option value="en">English</option>' in page
    assert "Passwort ändern" in page
    assert "Change password" in grace.get("/account")


def test_titles_of_built_in_modules_are_translated_and_pushed_ones_never(box: Box, german: Visitor) -> None:
    """A title that the platform pushed is shown as it is, even if the catalogue has a word for it."""
    assert ">Kunden<" in german.get("/account")
    box.applied("features", {**EVERYTHING, "modules": {"customers": {"title": "Customers"}}})
    try:
        page = german.get("/account")
        assert ">Customers<" in page
        assert ">Aufgaben<" in page
    finally:
        box.applied("features", EVERYTHING)


def test_pages_follow_the_workspace_s_locale_then_the_browser(box: Box, grace: Visitor) -> None:
    """Without a choice of the user the pushed locale decides, without a locale the browser's languages."""
    login = f"{grace.origin}{grace.root}/login"

    def title(accepted: str) -> str:
        return httpx.get(login, headers={"Accept-Language": accepted}).text.partition("<h1>")[2].partition("<")[0]

    assert [title("en"), title("de-CH, en;q=0.8"), title("pl, de;q=0.5"), title("pl")] == [
        "Sign in", "Anmelden", "Anmelden", "Sign in",
    ]  # fmt: skip
    box.applied("workspace", {"locale": "de-AT"})
    try:
        assert title("en") == "Anmelden"
        assert '<html lang="de"' in grace.get("/account")
    finally:
        box.applied("workspace", {})
    assert '<html lang="en"' in grace.get("/account")


def test_refusals_name_rights_as_the_page_of_users_does(box: Box, alan: Visitor, ida: Visitor) -> None:
    """Of a role and of the plan, in both languages; what the module is called here included."""
    try:
        assert "does not include “Manage users”;" in alan.get("/users", 403)
        box.applied("features", {**EVERYTHING, "plan": {"code": "a", "name": "A", "features": ["customers.view"]}})
        assert "does not include “Create customers”." in alan.get("/customers/new", 403)
        alan.post("/account", "/account/language", language="de")
        assert "enthält „Benutzer verwalten“ nicht" in alan.get("/users", 403)
        page = alan.get("/customers/new", 403)
        assert "enthält „Kunden: Anlegen“ nicht" in page
        assert "customers.create" not in page
        ida.post("/account", "/account/language", language="de")
        assert "Kunden: Anlegen" in ida.get("/users")
    finally:
        for one in (alan, ida):
            one.post("/account", "/account/language", language="")
        box.applied("features", EVERYTHING)


def test_a_module_that_another_needs_has_its_title(box: Box, grace: Visitor) -> None:
    """The refusal of a module whose requirement is missing names that one as the menu does."""
    box.applied("features", {**EVERYTHING, "modules": {"customers": {"enabled": False, "title": "Clients"}}})
    try:
        assert "It needs Clients, which is not available." in grace.get("/deals", 403)
        assert "It needs Clients, which is not available." in grace.get("/subscription")
    finally:
        box.applied("features", EVERYTHING)

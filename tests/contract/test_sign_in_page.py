from __future__ import annotations

import re

import pytest

from contract.box import TENANT, Box

PAGES = f"/i/eu1/t/{TENANT}"


def kept(box: Box, wanted: str) -> str:
    """Where the sign-in form would lead when it was opened with this ``next``."""
    page = box.client.get(f"{PAGES}/login", params={"next": wanted})
    found = re.search(r'name="next" value="([^"]*)"', page.text)
    return found[1] if found else ""


def test_the_form_leads_back_to_where_the_user_wanted_to_go(box: Box) -> None:
    """A page of the tenant, its query too."""
    assert kept(box, f"{PAGES}/customers?q=ada") == f"{PAGES}/customers?q=ada"


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example/",
        "/i/eu1/t/other/",
        f"{PAGES}/../other/login",
        f"{PAGES}/..?x",
        f"{PAGES}/%2e%2e/other/",
        f"{PAGES}/..;/other/",
        f"{PAGES}//evil.example",
        f"{PAGES}/%2f",
        f"{PAGES}/\\evil.example",
        f"{PAGES}/\t/evil.example",
    ],
)
def test_nobody_is_sent_elsewhere(box: Box, wanted: str) -> None:
    """Another site, another tenant, and what a browser would make either of are forgotten."""
    assert not kept(box, wanted)


@pytest.mark.parametrize("more", ["!", "!" * 100_000, "=", "\u00fc"])
def test_a_form_is_confirmed_by_its_own_text_alone(box: Box, more: str) -> None:
    """The CSRF text with characters after it that base64 skips is another text, and is refused."""
    page = box.client.get(f"{PAGES}/login")
    found = re.search(r'name="csrf" value="([^"]*)"', page.text)
    assert found is not None
    form = {"csrf": found[1], "email": "nobody@example.com", "password": "wrong"}
    origin = {"Origin": str(box.client.base_url).rstrip("/")}
    assert box.client.post(f"{PAGES}/login", data=form, headers=origin).status_code == 401
    form["csrf"] += more
    assert box.client.post(f"{PAGES}/login", data=form, headers=origin).status_code == 403

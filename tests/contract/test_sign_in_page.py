from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from contract.box import TENANT, Box
from contract.conftest import Boxes

PAGES = f"/i/eu1/t/{TENANT}"
PASSWORD = "correct horse battery"


def target_of(box: Box, next_page: str) -> str:
    """The page to which the sign-in form redirects if it was opened with this ``next``."""
    page = box.client.get(f"{PAGES}/login", params={"next": next_page})
    found = re.search(r'name="next" value="([^"]*)"', page.text)
    return found[1] if found else ""


def test_the_form_leads_back_to_the_requested_page(box: Box) -> None:
    """The target is the page of the tenant with its query."""
    assert target_of(box, f"{PAGES}/customers?q=ada") == f"{PAGES}/customers?q=ada"


@pytest.mark.parametrize(
    "next_page",
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
def test_the_form_leads_to_no_other_site_or_tenant(box: Box, next_page: str) -> None:
    """Another site, another tenant, and addresses that a browser resolves to either are dropped."""
    assert not target_of(box, next_page)


def own_form(box: Box) -> tuple[dict[str, str], dict[str, str]]:
    """The fields of a sign-in form as the page sends them, with a wrong password, and its headers."""
    page = box.client.get(f"{PAGES}/login")
    found = re.search(r'name="csrf" value="([^"]*)"', page.text)
    assert found is not None
    origin = str(box.client.base_url).rstrip("/")
    return {"csrf": found[1], "email": "unknown@example.com", "password": "wrong"}, {"Origin": origin}


def test_the_origin_of_public_url_is_this_site(boxes: Boxes) -> None:
    """Behind a proxy that ends TLS and is not trusted, browsers send that origin; the API and pages take it alike."""
    box = boxes(settings={"public_url": "https://crm.example.com"})
    form, _ = own_form(box)
    right = form | {"email": "ada@example.com", "password": PASSWORD}
    words = ("user", "create", "--tenant", TENANT, "--email", right["email"], "--role", "admin", "--password-stdin")
    box.crm(*words, stdin=PASSWORD)
    refused = box.client.post(f"{PAGES}/login", data=form, headers={"Origin": "http://crm.example.com"})
    assert refused.status_code == 403
    headers = {"Origin": "https://crm.example.com"}
    assert box.client.post(f"{PAGES}/login", data=right, headers=headers).status_code == 303
    page = box.client.get(f"{PAGES}/account").text
    found = re.search(r'name="csrf" value="([^"]*)"', page)
    assert found is not None
    confirmed = headers | {"X-CSRF-Token": found[1]}
    made = box.client.post(f"{box.base()}/customers", json={"name": "Ada"}, headers=confirmed)
    assert made.status_code == 201, made.text


@pytest.mark.parametrize("more", ["!", "!" * 100_000, "=", "\u00fc"])
def test_a_csrf_text_has_one_spelling(box: Box, more: str) -> None:
    """The CSRF text followed by characters that base64 skips is refused with 403."""
    form, headers = own_form(box)
    assert box.client.post(f"{PAGES}/login", data=form, headers=headers).status_code == 401
    form["csrf"] += more
    assert box.client.post(f"{PAGES}/login", data=form, headers=headers).status_code == 403


def test_a_form_has_the_media_type_of_our_pages(box: Box) -> None:
    """The same fields as multipart or as plain text are refused with 403, unread."""
    form, headers = own_form(box)
    parts = {name: (None, value) for name, value in form.items()}
    assert box.client.post(f"{PAGES}/login", files=parts, headers=headers).status_code == 403
    for kind, status in (("application/x-www-form-urlencoded", 401), ("text/plain", 403)):
        fields = headers | {"Content-Type": kind}
        answer = box.client.post(f"{PAGES}/login", content=urlencode(form), headers=fields)
        assert answer.status_code == status

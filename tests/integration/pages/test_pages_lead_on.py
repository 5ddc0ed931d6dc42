"""Forms lead to the page that they name, also if its address has characters that no URI has."""

from __future__ import annotations

import re

import httpx
import pytest

from visitor import PASSWORD, Visitor


@pytest.mark.parametrize(
    ("named", "location"),
    [
        ("/customers?q=ada&sort=name", "/customers?q=ada&sort=name"),
        ("/customers?q=%C3%A9", "/customers?q=%C3%A9"),
        ("/customers?q=\u00e9", "/customers?q=%C3%A9"),
        ("/customers?q=\u65e5\u672c", "/customers?q=%E6%97%A5%E6%9C%AC"),
        ("/customers/\u65e5", "/customers/%E6%97%A5"),
    ],
)
def test_a_form_leads_to_the_page_that_it_names(grace: Visitor, named: str, location: str) -> None:
    """Signing in and setting a field lead there; what is no character of a URI is sent as UTF-8, escaped."""
    with httpx.Client(base_url=grace.origin) as visitor:
        page = visitor.get(f"{grace.root}/login")
        form = {
            "csrf": re.findall(r'name="csrf" value="([^"]+)"', page.text)[0],
            "email": grace.email,
            "password": PASSWORD,
            "next": grace.root + named,
        }
        signed_in = visitor.post(f"{grace.root}/login", data=form, headers={"Origin": grace.origin})
    path = grace.customer(name="Leads On")
    revision = re.findall(r'name="revision" value="(\d+)"', grace.get(path))[0]
    fields = {"csrf": grace.csrf(path), "revision": revision, "member": "status", "value": "active"}
    fields["back"] = grace.root + named
    changed = grace.client.post(
        f"{grace.root}{path}/set", data=fields, headers={"Origin": grace.origin}, follow_redirects=False
    )
    for answer in (signed_in, changed):
        assert answer.status_code == 303, answer.text[:300]
        assert answer.headers["location"] == grace.root + location

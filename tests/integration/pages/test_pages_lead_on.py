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


@pytest.mark.parametrize("query", ["cursor=gone", "sort=shoe", "status=unknown"])
def test_a_list_that_cannot_be_shown_leads_to_its_first_page(grace: Visitor, query: str) -> None:
    """A bookmark of a page that has expired, or with a filter that no longer exists, is one click from the list."""
    page = grace.get(f"/customers?{query}", 400)
    assert f'href="{grace.root}/customers">Back to Customers</a>' in page


def test_an_unknown_address_is_a_page_of_the_workspace_for_its_users(grace: Visitor) -> None:
    """A user stays signed in and gets the menu; others get a link to sign in, and no hint of who asked before."""
    browser = {"Accept": "text/html"}
    page = grace.client.get(f"{grace.root}/customers/new/further", headers=browser).text
    assert "There is no page at this address." in page
    assert f'href="{grace.root}/">Go to the dashboard</a>' in page
    assert "Grace Hopper" in page
    with httpx.Client(base_url=grace.origin, headers=browser) as stranger:
        shown = stranger.get(f"{grace.root}/customers/new/further")
    assert (shown.status_code, f'href="{grace.root}/login">Sign in</a>' in shown.text) == (404, True)
    assert "Grace" not in shown.text


def test_a_wrong_address_of_an_invitation_is_said_as_in_other_forms(ida: Visitor) -> None:
    """The sentence says what to enter; one that is taken says so."""
    for email, sentence in (
        ("no address", "Enter an email address such as ada@example.com."),
        ("", "Enter an email address such as ada@example.com."),
        (ida.email, "Another user has this email address."),
    ):
        page = ida.post("/users/invite", "/users/invite", 422, email=email, name="New", role="agent")
        assert "The invitation was not sent." in page
        assert sentence in page.split('id="f-email-e"')[1].partition("</span>")[0]

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import expect

from browser.desk import Desk, People
from contract.box import Box

Sit = Callable[..., Desk]


class Inbox:
    """A mail server's accepted emails; it rejects recipients at ``refused.example``."""

    def __init__(self) -> None:
        self.emails: list[EmailMessage] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        if address.endswith("@refused.example"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        email = message_from_bytes(envelope.content, policy=default)
        assert isinstance(email, EmailMessage)
        self.emails.append(email)
        return "250 OK"


@pytest.fixture
def inbox(mail_port: int) -> Iterator[Inbox]:
    """A real mail server."""
    accepted = Inbox()
    controller = Controller(accepted, hostname="127.0.0.1", port=mail_port)
    controller.start()
    yield accepted
    controller.stop()


@pytest.fixture
def smtp(box: Box, plain: None, mail_port: int) -> dict[str, Any]:
    """The tenant sends through the tests' mail server."""
    section = {
        "host": "127.0.0.1",
        "port": mail_port,
        "security": "none",
        "from_email": "crm@nordwind.example",
        "from_name": "Nordwind Büro",
        "timeout_seconds": 20,
    }
    box.applied("smtp", section)
    return section


def text_of(email: EmailMessage, kind: str) -> str:
    part = email.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def link_in(email: EmailMessage) -> str:
    found = re.search(r"http\S+/password/\S+", text_of(email, "plain"))
    assert found is not None
    return found.group()


def test_the_test_email_arrives(sit: Sit, inbox: Inbox, smtp: dict[str, Any]) -> None:
    """The page shows each step; the email comes from the tenant's own sender, in its brand, as text and HTML."""
    desk = sit(People.admin)
    page = desk.page
    desk.go("/mail")
    expect(page.get_by_text("Nordwind Büro <crm@nordwind.example>")).to_be_visible()
    page.get_by_role("button", name="Send test email").click()
    expect(page.get_by_text("It works.")).to_be_visible()
    expect(page.locator(".steps li.ok")).to_have_text(["Address found", "Connected", "Accepted"])
    [email] = inbox.emails
    assert email["From"] == "Nordwind Büro <crm@nordwind.example>"
    assert email["To"] == People.admin.email
    assert "Nordwind Reisen" in text_of(email, "plain")
    assert "#0b5fff" in text_of(email, "html")


def test_each_delivery_error_has_its_own_message(sit: Sit, box: Box, smtp: dict[str, Any]) -> None:
    """A host name without an address and a refused connection have different messages and steps."""
    desk = sit(People.admin)
    page = desk.page
    for members, step, message in (
        ({"host": "no-such-host.invalid"}, "Address found", "The mail server's name has no address."),
        ({}, "Connected", "The mail server refused the connection."),
    ):
        box.applied("smtp", {**smtp, **members})
        desk.go("/mail")
        page.get_by_role("button", name="Send test email").click()
        expect(page.get_by_text(message)).to_be_visible()
        expect(page.locator(".steps li.bad")).to_have_text(step)


def test_the_test_form_works_without_scripts(sit: Sit, inbox: Inbox, smtp: dict[str, Any]) -> None:
    """Without scripts, the response is the page with the result."""
    desk = sit(People.admin, java_script_enabled=False)
    desk.go("/mail")
    desk.page.get_by_role("button", name="Send test email").click()
    expect(desk.page.get_by_text("It works.")).to_be_visible()
    assert len(inbox.emails) == 1


def test_invitation_and_reset_by_email(sit: Sit, inbox: Inbox, smtp: dict[str, Any]) -> None:
    """An invited user chooses a password through the emailed link, and sets another one through a reset email."""
    admin = sit(People.admin)
    admin.go("/users/invite")
    admin.page.get_by_label("Email").fill("karl@nordwind.example")
    admin.page.get_by_label("Name").fill("Karl <b>Oltmann</b>")
    admin.page.get_by_role("button", name="Invite").click()
    expect(admin.page.locator(".toast")).to_contain_text("Email sent to karl@nordwind.example")
    [email] = inbox.emails
    assert email["Subject"] == "Silke Wulff invites you to Nordwind Reisen"
    assert "&lt;b&gt;Oltmann" in text_of(email, "html")

    guest = sit(who=None)
    page = guest.page
    for number, password in enumerate(("two red buoys", "nine grey gulls")):
        page.goto(link_in(inbox.emails[number]))
        page.get_by_label("New password").fill(password)
        page.get_by_label("Repeat password").fill(password)
        page.get_by_role("button", name="Set password").click()
        expect(page.get_by_text("The password is set.")).to_be_visible()
        if number == 0:
            page.get_by_role("link", name="Forgot password?").click()
            page.get_by_label("Email").fill("karl@nordwind.example")
            page.get_by_role("button", name="Send link").click()
            expect(page.get_by_text("Check your email.")).to_be_visible()
            for _ in range(600):
                if len(inbox.emails) == 2:
                    break
                page.wait_for_timeout(50)
    page.fill("#email", "karl@nordwind.example")
    page.fill("#password", "nine grey gulls")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Karl")


def test_an_unknown_address_gets_no_email_and_the_same_response(sit: Sit, inbox: Inbox, smtp: dict[str, Any]) -> None:
    """A reset request does not reveal whether the address has an account."""
    guest = sit(who=None)
    guest.go("/forgot")
    guest.page.get_by_label("Email").fill("unknown@nordwind.example")
    guest.page.get_by_role("button", name="Send link").click()
    expect(guest.page.get_by_text("Check your email.")).to_be_visible()
    guest.page.wait_for_timeout(200)
    assert inbox.emails == []


def test_a_rejected_recipient_leaves_the_link_to_the_admin(sit: Sit, inbox: Inbox, smtp: dict[str, Any]) -> None:
    """The page shows why the email was not delivered, and the link for the admin to pass on."""
    admin = sit(People.admin)
    admin.go("/users/invite")
    admin.page.get_by_label("Email").fill("gone@refused.example")
    admin.page.get_by_role("button", name="Invite").click()
    expect(admin.page.get_by_text("The mail server rejected the recipient.")).to_be_visible()
    expect(admin.page.locator("#link")).to_contain_text("/password/")


def test_the_api_sends_test_emails_too(sit: Sit, box: Box, inbox: Inbox, smtp: dict[str, Any]) -> None:
    """POST settings/smtp/test sends to the signed-in user's own address; a token may not."""
    desk = sit(People.admin)
    desk.go("/mail")
    token = desk.page.locator("input[name=csrf]").first.input_value()
    answer = desk.page.evaluate(
        """async ([url, token]) => {
            const answer = await fetch(url, {method: "POST", headers: {"X-CSRF-Token": token}});
            return {status: answer.status, body: await answer.json()};
        }""",
        [f"{desk.root}/api/v1/settings/smtp/test", token],
    )
    outcome = {
        "delivered": True,
        "to": People.admin.email,
        "steps": ["found", "connected", "accepted"],
        "trouble": None,
    }
    assert answer == {"status": 200, "body": outcome}
    assert len(inbox.emails) == 1
    refused = box.client.post(f"{box.base()}/settings/smtp/test", headers=box.bearer())
    assert refused.status_code == 403

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from contract.box import TENANT, Box, until
from contract.conftest import Boxes
from free_ports import free_port

PAGES = f"/i/eu1/t/{TENANT}"
ADA = "ada@northwind.example"


class Inbox:
    """The texts of the emails that a mail server accepted."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.introduced: list[str] = []  # the names in EHLO

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.introduced.append(hostname)
        session.host_name = hostname
        return responses

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        self.texts.append(envelope.content.decode().replace("=\r\n", ""))
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    """A real mail server and its port."""
    emails = Inbox()
    port = free_port()
    controller = Controller(emails, hostname="127.0.0.1", port=port)
    controller.start()
    yield emails, port
    controller.stop()


def ready(boxes: Boxes, port: int, helo: dict[str, str] | None = None, **settings: Any) -> Box:
    """An instance whose tenant has a user and the tests' mail server."""
    box = boxes(settings={"smtp": {"allow_private_hosts": True, **(helo or {})}, **settings})
    box.crm(
        "user", "create", "--tenant", TENANT, "--email", ADA, "--role", "viewer", "--password-stdin",
        stdin="correct horse battery",
    )  # fmt: skip
    section = {"host": "127.0.0.1", "port": port, "security": "none", "from_email": "crm@northwind.example"}
    assert box.push("smtp", section).status_code == 200
    return box


def forgot(box: Box, host: str) -> str:
    """The page that responds to a reset request under this Host."""
    page = box.client.get(f"{PAGES}/forgot", headers={"Host": host})
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    headers = {"Host": host, "Origin": f"http://{host}", "Cookie": f"crm_door={page.cookies['crm_door']}"}
    return box.client.post(f"{PAGES}/forgot", headers=headers, data={"csrf": token[1], "email": ADA}).text


def test_no_email_has_a_link_to_a_foreign_host(boxes: Boxes, inbox: tuple[Inbox, int]) -> None:
    """Without public_url a reset under a foreign Host sends no email, and one under this machine's address does."""
    emails, port = inbox
    box = ready(boxes, port)
    assert "No email was sent." in forgot(box, "evil.example")
    assert "No email was sent." in forgot(box, "127.0.0.1.evil.example")
    assert "Check your email." in forgot(box, f"127.0.0.1:{box.port}")
    until(lambda: bool(emails.texts), lambda: box.log_text()[-1000:])
    assert "evil" not in "".join(emails.texts)
    assert f"http://127.0.0.1:{box.port}{PAGES}/password/" in emails.texts[0]
    assert len(emails.texts) == 1
    assert emails.introduced == ["[127.0.0.1]"]


def test_links_in_emails_start_with_the_public_url(boxes: Boxes, inbox: tuple[Inbox, int]) -> None:
    """With public_url the Host of the request does not change the link, and its host is the name in EHLO."""
    emails, port = inbox
    box = ready(boxes, port, public_url="https://crm.example.com")
    assert "Check your email." in forgot(box, "evil.example")
    until(lambda: bool(emails.texts), lambda: box.log_text()[-1000:])
    assert "evil" not in emails.texts[0]
    assert f"https://crm.example.com{PAGES}/password/" in emails.texts[0]
    assert emails.introduced == ["crm.example.com"]


def test_the_configured_name_comes_before_that_of_public_url(boxes: Boxes, inbox: tuple[Inbox, int]) -> None:
    """`smtp.helo_name` is the name in EHLO; an internationalised public_url is its ASCII form in links."""
    emails, port = inbox
    box = ready(boxes, port, {"helo_name": "out.example.net"}, public_url="https://crm.k\u00f6ln.example")
    assert "Check your email." in forgot(box, "evil.example")
    until(lambda: bool(emails.texts), lambda: box.log_text()[-1000:])
    assert f"https://crm.xn--kln-sna.example{PAGES}/password/" in emails.texts[0]
    assert emails.introduced == ["out.example.net"]


def test_pages_work_without_the_secret_key_of_the_mail_password(boxes: Boxes) -> None:
    """If the mail password cannot be decrypted, the page says that no email was sent; log and doctor say why."""
    box = boxes()
    section = {"host": "mail.example.com", "username": "crm", "password": "hush-hush", "from_email": "a@b.example"}
    assert box.push("smtp", section).status_code == 200
    box.stop()
    box.environ["CRM_SECRET_KEY"] = "another key of at least 32 bytes"
    box.start()
    assert "No email was sent." in forgot(box, f"127.0.0.1:{box.port}")
    assert "mail_password_sealed" in box.log_text()
    assert "/smtp/password: A stored secret cannot be opened: the instance's secret_key has changed." in box.crm(
        "doctor", TENANT, code=1
    )
    assert "internal_error" not in box.log_text()
    assert "hush-hush" not in box.log_text()

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from contract.box import TENANT, Box, until
from contract.conftest import Boxes
from doc_pages import free_port

PAGES = f"/i/eu1/t/{TENANT}"
ADA = "ada@northwind.example"


class Inbox:
    """The texts of the letters that a mail server took."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        self.texts.append(envelope.content.decode().replace("=\r\n", ""))
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    """A real mail server and its port."""
    taken = Inbox()
    port = free_port()
    controller = Controller(taken, hostname="127.0.0.1", port=port)
    controller.start()
    yield taken, port
    controller.stop()


def ready(boxes: Boxes, port: int, **settings: Any) -> Box:
    """An instance whose tenant has a user and the tests' mail server."""
    box = boxes(settings={"smtp": {"allow_private_hosts": True}, **settings})
    box.crm(
        "user", "create", "--tenant", TENANT, "--email", ADA, "--role", "viewer", "--password-stdin",
        stdin="correct horse battery",
    )  # fmt: skip
    section = {"host": "127.0.0.1", "port": port, "security": "none", "from_email": "crm@northwind.example"}
    assert box.push("smtp", section).status_code == 200
    return box


def forgot(box: Box, host: str) -> str:
    """The page that answers to a request for a reset, sent under this Host."""
    page = box.client.get(f"{PAGES}/forgot", headers={"Host": host})
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    headers = {"Host": host, "Origin": f"http://{host}", "Cookie": f"crm_door={page.cookies['crm_door']}"}
    return box.client.post(f"{PAGES}/forgot", headers=headers, data={"csrf": token[1], "email": ADA}).text


def test_nobody_sends_a_letter_whose_link_leads_to_a_site_of_their_own(boxes: Boxes, inbox: tuple[Inbox, int]) -> None:
    """Without public_url a foreign Host gets no letter sent, and one of this machine does."""
    taken, port = inbox
    box = ready(boxes, port)
    assert "No letter was sent." in forgot(box, "evil.example")
    assert "No letter was sent." in forgot(box, "127.0.0.1.evil.example")
    assert "Look into your mail." in forgot(box, f"127.0.0.1:{box.port}")
    until(lambda: bool(taken.texts), lambda: box.log_text()[-1000:])
    assert "evil" not in "".join(taken.texts)
    assert f"http://127.0.0.1:{box.port}{PAGES}/password/" in taken.texts[0]
    assert len(taken.texts) == 1


def test_the_links_of_letters_start_with_the_public_url(boxes: Boxes, inbox: tuple[Inbox, int]) -> None:
    """With public_url the Host of the request says nothing about where a link leads."""
    taken, port = inbox
    box = ready(boxes, port, public_url="https://crm.example.com")
    assert "Look into your mail." in forgot(box, "evil.example")
    until(lambda: bool(taken.texts), lambda: box.log_text()[-1000:])
    assert "evil" not in taken.texts[0]
    assert f"https://crm.example.com{PAGES}/password/" in taken.texts[0]


def test_a_secret_key_that_is_gone_ends_letters_and_no_page(boxes: Boxes) -> None:
    """Where the mail password cannot be opened any more, the page says that no letter was sent; the log says why."""
    box = boxes()
    section = {"host": "mail.example.com", "username": "crm", "password": "hush-hush", "from_email": "a@b.example"}
    assert box.push("smtp", section).status_code == 200
    box.stop()
    box.environ["CRM_SECRET_KEY"] = "another key of at least 32 bytes"
    box.start()
    assert "No letter was sent." in forgot(box, f"127.0.0.1:{box.port}")
    assert "mail_password_sealed" in box.log_text()
    assert "internal_error" not in box.log_text()
    assert "hush-hush" not in box.log_text()

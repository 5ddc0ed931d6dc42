from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.box import TENANT, Box, roster_key
from visitor import EVERYTHING, PASSWORD, Visitor, with_users


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Box]:
    """An instance with a manager, an agent and an admin, and room for more users."""
    box = Box(tmp_path, tenants={TENANT: {"keys": [roster_key()]}}).create_tenants().start()
    try:
        with_users(box).applied("features", EVERYTHING)
        yield box
    finally:
        assert box.stop() == 0


def test_every_colleague_is_found_in_a_large_workspace(own: Box) -> None:
    """Pickers and imports know those by whose name many others come first."""
    with Visitor(own, "admin") as ida:
        headers = {"Origin": ida.origin, "X-CSRF-Token": ida.csrf("/account")}
        for number in range(205):
            user = {"email": f"u{number}@many.example", "name": f"Person {number:03}", "role": "agent"}
            assert ida.client.post(f"{own.base()}/users", json=user, headers=headers).status_code == 201
    with Visitor(own, "manager") as grace:
        assert "u204@many.example" in grace.get("/customers/choices?field=owner&q=person+204")
        page = html.unescape(grace.upload("/customers/import", "Name,Owner\nA,Person 204\nB,Person 000\n").text)
        assert "2 customers would be created" in page


def test_any_name_is_greeted(own: Box) -> None:
    """A user whose name begins with an at sign gets the dashboard too."""
    for at, (name, greeted) in enumerate((("@ada", "@ada"), ("ada.b@engines.example", "ada.b"), ("Ada B", "Ada"))):
        own.crm(
            "user", "create", "--tenant", TENANT, "--email", f"{at}@greeted.example", "--name", name, "--role", "agent",
            "--password-stdin", stdin=f"{PASSWORD}\n",
        )  # fmt: skip
        with Visitor(own, "agent", f"{at}@greeted.example") as visitor:
            assert re.search(rf"<h1[^>]*>Good \w+, {greeted}</h1>", visitor.get("/"))

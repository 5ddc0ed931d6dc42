"""A signed-in browser without a browser, for the pages of a served box."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

import httpx

from contract.box import TENANT, Box
from plain_http import PLAIN

PASSWORD = "seven sailing boats"
EVERYTHING = {"plan": {"code": "a", "name": "A", "features": ["customers.*", "deals.*", "tasks.*"]}}


def with_users(box: Box) -> Box:
    """Create a manager, an agent and an admin."""
    for name, role in (("Grace Hopper", "manager"), ("Alan Turing", "agent"), ("Ida Rhodes", "admin")):
        box.crm(
            "user", "create", "--tenant", TENANT, "--email", f"{role}@engines.example", "--name", name, "--role", role,
            "--password-stdin", stdin=f"{PASSWORD}\n",
        )  # fmt: skip
    return box


class Visitor:
    """A signed-in browser without a browser."""

    def __init__(self, box: Box, role: str, email: str = "") -> None:
        self.origin = str(box.client.base_url).rstrip("/")
        self.root = f"/i/eu1/t/{TENANT}"
        self.client = httpx.Client(base_url=self.origin, follow_redirects=True, verify=PLAIN)
        self.email = email or f"{role}@engines.example"
        self.post("/login", "/login", email=self.email, password=PASSWORD)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, expected: int = 200) -> str:
        answer = self.client.get(self.root + path)
        assert answer.status_code == expected, (path, answer.status_code)
        return answer.text

    def csrf(self, form: str) -> str:
        """The token of a page's forms."""
        return str(re.findall(r'name="csrf" value="([^"]+)"', self.get(form))[-1])

    def post(
        self, form: str, action: str, expected: int = 200, /, several: Sequence[tuple[str, str]] = (), **fields: str
    ) -> str:
        """Send a form of a page, ``several``: fields that it has more than once; the page that follows."""
        sent: dict[str, str | list[str]] = {"csrf": self.csrf(form), **fields}
        for name in dict(several):
            sent[name] = [value for each, value in several if each == name]
        answer = self.client.post(self.root + action, data=sent, headers={"Origin": self.origin})
        assert answer.status_code == expected, (action, answer.status_code, answer.text[-800:])
        return answer.text

    def send(self, action: str, fields: dict[str, str], origin: str = "") -> httpx.Response:
        """The answer to a form with exactly these fields."""
        return self.client.post(self.root + action, data=fields, headers={"Origin": origin or self.origin})

    def upload(
        self, action: str, text: str | bytes, fields: dict[str, str | list[str]] | None = None, **headers: str
    ) -> httpx.Response:
        """The answer to the form of an import with this file."""
        content = text.encode() if isinstance(text, str) else text
        data = {"csrf": self.csrf("/customers"), **(fields or {})}
        files = {"file": ("people.csv", content, "text/csv")}
        return self.client.post(self.root + action, data=data, files=files, headers={"Origin": self.origin, **headers})

    def customer(self, **fields: str) -> str:
        """The path of a new customer."""
        page = self.post("/customers/new", "/customers/new", **fields)
        return "/customers/" + re.findall(r'data-id="([0-9a-f-]{36})"', page)[0]

"""A workspace in daily use: 5,000 customers, deals in every stage, and tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from browser.api import SCOPES
from browser.desk import PASSWORD, People
from contract.box import Box, good

OFFICE = "office"
CUSTOMERS = 5000
OLDEST = "Zwickau Sculls"  # the customer changed longest ago
PER_REQUEST = 500  # records of one request
FEATURES = {"plan": {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}}
_FIRST = ("Hansa", "Baltic", "Elbe", "Alster", "Nordic", "Wannsee", "Havel", "Weser", "Trave", "Isar")
_SECOND = ("Rowing", "Sailing", "Canoe", "Yachting", "Travel", "School", "Freight", "Choir", "Hiking", "Chess")
_CITIES = ("Hamburg", "Kiel", "Bremen", "Rostock", "Berlin", "Wien")
_STAGES = ("new", "qualified", "proposal", "won", "lost")


def today() -> date:
    """The day in the workspace: tests call it when they need it, as midnight may come after they are collected."""
    return datetime.now(UTC).astimezone(ZoneInfo("Europe/Berlin")).date()


def fill(box: Box) -> None:
    """Create the office's users and records; 500 records in a request."""
    for one in (People.admin, People.manager, People.agent):
        words = ("--email", one.email, "--name", one.full_name, "--role", one.name, "--password-stdin")
        box.crm("user", "create", "--tenant", OFFICE, *words, stdin=PASSWORD + "\n")
    box.applied("features", {**FEATURES, "limits": {"customers": 10_000}}, tenant=OFFICE)
    box.applied("workspace", {"timezone": "Europe/Berlin", "currency": "EUR", "locale": "en-GB"}, tenant=OFFICE)
    box.applied("branding", {"title": "Nordwind Reisen", "colors": {"primary": "#0b5fff"}}, tenant=OFFICE)
    customers = _created(box, "customers", _customers())
    _created(box, "deals", _deals(customers))
    _created(box, "tasks", _tasks(customers))


def _created(box: Box, kind: str, records: Iterator[dict[str, Any]]) -> list[str]:
    """Create records; their ids."""
    bearer, rest, ids = box.bearer(*SCOPES, tenant=OFFICE), list(records), []
    for first in range(0, len(rest), PER_REQUEST):
        items = rest[first : first + PER_REQUEST]
        answer = good(box.client.post(f"{box.base(OFFICE)}/{kind}/batch", json={"items": items}, headers=bearer))
        ids += [result["id"] for result in answer["results"]]
    return ids


def _customers() -> Iterator[dict[str, Any]]:
    yield {"name": OLDEST, "email": "post@zwickau.example", "status": "lead"}
    for number in range(1, CUSTOMERS):
        first, second = _FIRST[number % 10], _SECOND[number // 10 % 10]
        yield {
            "name": f"{first} {second} {number}", "email": f"c{number}@mail.example", "phone": f"+49 40 {number:06}",
            "status": ("active", "lead", "inactive")[number % 3], "address": {"city": _CITIES[number % 6]},
            "tags": (["vip"], ["group"], [])[number % 3], "owner": (People.agent, People.manager)[number % 2].email,
        }  # fmt: skip


def _deals(customers: list[str]) -> Iterator[dict[str, Any]]:
    first = today()
    for number in range(500):
        yield {
            "name": f"Regatta {number}", "customer_id": customers[number], "stage": _STAGES[number % 5],
            "amount": f"{number + 1}00.00", "currency": ("EUR", "EUR", "USD")[number % 3],
            "owner": (People.agent, People.manager)[number % 2].email,
            "closes_on": (first + timedelta(days=number % 90)).isoformat(),
        }  # fmt: skip


def _tasks(customers: list[str]) -> Iterator[dict[str, Any]]:
    for number in range(40):
        due = (today() + timedelta(days=number % 8 - 2)).isoformat()
        owner = (People.agent, People.manager)[number // 8 % 2].email
        yield {"name": f"Call {number}", "customer_id": customers[number + 1], "assignee": owner, "due_on": due}

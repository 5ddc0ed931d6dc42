from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_core.manager.limits import MOST_IN_FLIGHT, Patience
from crm_core.manager.upstream import Upstream
from crm_core.server.connection import Deadlines
from crm_core.server.head import HEAD_LIMIT, HEADERS_LIMIT
from crm_core.settings import UpstreamAddress as Address
from doc_pages import free_port, page, run_page, section

NAME = "docs/manager.md"


@pytest.mark.slow
def test_the_examples_run_in_the_order_of_the_page(tmp_path: Path) -> None:
    """Two instances, a manager, a push through it, and the rendered nginx, as the page has them."""
    told = run_page(NAME, tmp_path, free_port(), before="trap 'kill $(jobs -p); wait' EXIT\n")
    answers = [json.loads(line) for line in re.findall(r"\{[^\n]*?\}(?=\{|\n|$)", told.replace("}{", "}\n{"))]
    titles = [each["branding"].get("title") for each in answers if "branding" in each]
    assert titles == ["Nordwind", None]
    (instances,) = [each["instances"] for each in answers if "instances" in each]
    assert [one["upstreams"][0]["state"] for one in instances] == ["up", "up"]
    assert "upstream crm_us2 {" in (tmp_path / "crm.conf").read_text()


def test_the_limits_on_the_page_are_those_in_force() -> None:
    """Every figure of the table is the code's."""
    table = section(page(NAME), "Upstreams")
    patience, deadlines = Patience(), Deadlines()
    for row in (
        f"| {patience.connect:g} s | to connect",
        f"| {patience.answer:g} s | from a request",
        f"| {patience.part:g} s | between two parts",
        f"| {MOST_IN_FLIGHT:,} | requests",
        f"| {deadlines.head:g} s, {deadlines.body:g} s, {deadlines.idle:g} s | a client's head",
        f"| {HEAD_LIMIT // 1024} KiB, {HEADERS_LIMIT} | a request's head",
    ):
        assert row in table


async def test_the_page_for_operators_is_as_shown() -> None:
    """The example holds the members that the manager tells, each in the table or plain by its name."""
    text = section(page(NAME), "/-/instances")
    shown = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    upstream = Upstream(Address(url="http://127.0.0.1:1"), Patience(), lambda: datetime.now(UTC))
    upstream.fails("/readyz: connection refused")
    told: dict[str, Any] = upstream.told()
    await upstream.close()
    (example,) = shown["instances"][0]["upstreams"]
    assert example.keys() == told.keys()
    assert example["last_error"].keys() == told["last_error"].keys()
    for name in ("state", "since", "in_flight", "last_error", "roster"):
        assert f"| `{name}` |" in text

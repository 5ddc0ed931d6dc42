from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_core.manager.limits import DEADLINES, MAX_IN_FLIGHT, Timeouts
from crm_core.manager.upstream import Upstream
from crm_core.server.head import HEAD_LIMIT, HEADERS_LIMIT
from crm_core.server.limits import Deadlines
from crm_core.settings.instances import UpstreamAddress as Address
from doc_pages import page, run_page, section
from free_ports import free_port

NAME = "docs/manager.md"


@pytest.mark.slow
def test_the_examples_run_in_the_order_of_the_page(tmp_path: Path) -> None:
    """Two instances, a manager, a push through it, and the rendered nginx, as the page has them."""
    output = run_page(NAME, tmp_path, free_port(), before="trap 'kill $(jobs -p); wait' EXIT\n")
    answers = [json.loads(line) for line in re.findall(r"\{[^\n]*?\}(?=\{|\n|$)", output.replace("}{", "}\n{"))]
    titles = [each["branding"].get("title") for each in answers if "branding" in each]
    assert titles == ["Nordwind", None]
    (instances,) = [each["instances"] for each in answers if "instances" in each]
    assert [one["upstreams"][0]["state"] for one in instances] == ["up", "up"]
    assert "upstream crm_us2 {" in (tmp_path / "crm.conf").read_text()


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    """Every figure of the table is the code's; an instance refuses a late body first, so that it logs a push."""
    table = section(page(NAME), "Upstreams")
    timeouts, deadlines, first = Timeouts(), DEADLINES, Deadlines().body
    assert deadlines.body > first
    for row in (
        f"| {timeouts.connect:g} s | to connect",
        f"| {timeouts.answer:g} s | from a request",
        f"| {timeouts.part:g} s | between two parts",
        f"| {MAX_IN_FLIGHT:,} | requests",
        f"| {deadlines.head:g} s, {deadlines.body:g} s, {deadlines.idle:g} s | a client's head, its body (an instance",
        f"refuses it after {first:g} s)",
        f"| {HEAD_LIMIT // 1024} KiB, {HEADERS_LIMIT} | a request's head",
    ):
        assert row in table


async def test_the_page_for_operators_is_as_shown() -> None:
    """The example has the members that the manager returns, each of them in the table or clear from its name."""
    text = section(page(NAME), "/-/instances")
    shown = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    upstream = Upstream(Address(url="http://127.0.0.1:1"), Timeouts(), lambda: datetime.now(UTC))
    upstream.record_failure("/readyz: connection refused")
    report: dict[str, Any] = upstream.report()
    await upstream.close()
    (example,) = shown["instances"][0]["upstreams"]
    assert example.keys() == report.keys()
    assert example["last_error"].keys() == report["last_error"].keys()
    for name in ("state", "since", "in_flight", "last_error", "roster"):
        assert f"| `{name}` |" in text

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from crm_core.cli.log import line
from crm_core.model.log import LogEntry


def shown(**members: Any) -> str:
    entry = LogEntry(
        **{
            "id": "a",
            "received_at": "2026-11-24T02:00:00Z",
            "instance": "eu1",
            "tenant": "northwind",
            "status": "applied",
            "signature_result": "valid",
            "request_id": "r",
            "payload_type": "branding",
            "payload_version": 7,
            "key_version": 2,
            **members,
        }
    )
    return click.unstyle(line(msgspec.to_builtins(entry)))


@pytest.mark.parametrize(
    ("members", "end"),
    [
        ({"revision": 3, "changes_count": 2}, "revision 3"),
        ({"status": "unchanged", "revision": 4, "changes_count": 0}, "no section changed"),
        ({"status": "previewed", "changes_count": 2}, "2 changes shown, none made"),
        ({"error_message": "A repeat of request x, which was applied."}, "A repeat of request x, which was applied."),
        ({"status": "rejected", "error_code": "stale_version", "error_message": "Too old."}, "stale_version: Too old."),
        ({"status": "rejected", "error_code": "rate_limited", "error_message": "Wait.", "count": 9}, "Wait. (x9)"),
    ],
)
def test_a_line_ends_with_what_came_of_the_attempt(members: dict[str, Any], end: str) -> None:
    """Applied, unchanged, previewed, repeated, refused and counted attempts each say so in words, never `None`."""
    text = shown(**members)
    assert text.startswith("2026-11-24T02:00:00Z")
    assert text.endswith(end)
    assert "branding v7" in text
    assert "None" not in text


@pytest.mark.parametrize("command", ["list", "tail", "export"])
@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("--status", "applied, unchanged, previewed, rejected, failed"),
        ("--signature", "valid, missing, malformed, unknown_key, inactive_key, invalid, unchecked"),
        ("--since", "a time such as 2026-11-24T02:00:00Z"),
        ("--until", "a time such as 2026-11-24T02:00:00Z"),
    ],
)
def test_a_mistyped_filter_is_wrong_usage(
    config: Path, crm: Callable[..., Any], command: str, option: str, known: str
) -> None:
    """Exit 2 with what the option takes, before the tenant is looked for."""
    ran = crm("log", command, "--tenant", "none", option, "nope")
    assert (ran.code, ran.out) == (2, "")
    assert f"Invalid value for '{option}'" in ran.err
    assert known in ran.err
    assert crm("log", command, "--tenant", "none", "--type", "nope").code == 1

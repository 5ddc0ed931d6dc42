from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crm_core.cli.main import crm as command

CAPTURES = Path(__file__).parents[1] / "explain/captures"
Crm = Callable[..., Any]
BODY = len((CAPTURES / "good.http").read_bytes().partition(b"\r\n\r\n")[2])
AT = ("--at", "2026-09-21T14:13:20Z")
pytestmark = pytest.mark.usefixtures("config")


def test_a_refused_request_is_explained(crm: Crm) -> None:
    """The checks, the text with visible white space, the body's hash and the cause; exit code 1, and no secret."""
    made = crm("explain", str(CAPTURES / "text-trailing-newline.http"), *AT)
    assert made.code == 1
    assert " 6  FAILED  Signature matches the raw body  signature_invalid: " in made.out
    assert "  crm-sync-v1␊\n  eu1␊\n  northwind␊\n" in made.out
    assert f"body as received: {BODY} bytes, SHA-256 " in made.out
    assert "cause: The signed text ends with an extra line end." in made.out
    assert bytes(range(1, 33)).hex() not in made.out


@pytest.mark.parametrize(("set_to", "colored"), [("", True), ("1", False)])
def test_no_color_turns_colors_off(set_to: str, colored: bool) -> None:
    """On a terminal the output has colors, unless the environment has NO_COLOR (no-color.org)."""
    words = ["explain", str(CAPTURES / "good.http"), *AT]
    shown = CliRunner().invoke(command, words, color=True, env={"NO_COLOR": set_to}).output
    assert ("\x1b[" in shown) is colored
    assert "No check fails." in shown


def test_a_right_request_is_exit_code_0(crm: Crm) -> None:
    """The output says that no check fails; standard input is read too."""
    made = crm("explain", "-", *AT, stdin=(CAPTURES / "good.http").read_bytes())
    assert (made.code, made.err) == (0, "")
    assert made.out.endswith("No check fails.\n")


def test_json_has_all_of_it(crm: Crm) -> None:
    """Programs get checks and causes with their codes."""
    document = json.loads(crm("explain", str(CAPTURES / "body-php.http"), "--at", "1790000000", "--json").out)
    assert document["refused"] is True
    assert [check["code"] for check in document["checks"] if check["verdict"] == "failed"] == ["signature_invalid"]
    assert [cause["code"] for cause in document["causes"]] == ["body_reserialised"]
    assert document["signed_text"].endswith(document["body_sha256"])


def test_headers_with_a_body_file(crm: Crm) -> None:
    """FILE with the headers, --body and --url with the rest."""
    made = crm(
        *("explain", str(CAPTURES / "headers.txt"), "--body", str(CAPTURES / "pretty.json"), *AT),
        *("--url", "https://crm.example/i/eu1/t/northwind/api/v1/sync/branding", "--source", "10.0.0.1"),
    )
    assert made.code == 0, made.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("/absent",), 2, "/absent cannot be read"),
        (("-",), 1, "no request line"),
        ((str(CAPTURES / "good.http"), "--at", "yesterday"), 2, "Unix seconds"),
        ((str(CAPTURES / "good.http"), "--source", "somewhere"), 2, "enter an address"),
        ((str(CAPTURES / "headers.txt"), "--url", "https://crm.example/login"), 1, "not a receiver's path"),
    ],
)
def test_unreadable_input_is_refused(crm: Crm, words: tuple[str, ...], code: int, message: str) -> None:
    """Wrong usage is exit 2, a capture without a push exit 1."""
    made = crm("explain", *words, stdin=b"hello: you\n\n")
    assert made.code == code
    assert message in made.err

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from crm_core.access.scopes import SYNC_SCOPES
from crm_core.cli.main import COMMANDS, crm


@pytest.mark.parametrize(
    ("word", "hint"),
    [("pusj", "did you mean push?"), ("tokens", "did you mean token?"), ("xyz", "crm --help lists the commands")],
)
def test_an_unknown_command_suggests_a_known_one(word: str, hint: str) -> None:
    """A typing mistake is wrong usage, and the message names the closest command."""
    result = CliRunner().invoke(crm, [word])
    assert result.exit_code == 2
    assert f"unknown command {word}; {hint}" in result.output


def test_with_json_wrong_usage_is_a_document_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read is exit 2, with JSON on standard output and the text on standard error."""
    words = ["push", "branding", "/absent.yaml", "--json"]
    monkeypatch.setattr(sys, "argv", ["crm", *words])
    result = CliRunner().invoke(crm, words)
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "problems": ["/absent.yaml cannot be read (No such file or directory); check the path"]
    }
    assert "/absent.yaml cannot be read" in result.stderr


def test_the_help_lists_every_command() -> None:
    """--help lists the table in its order."""
    output = CliRunner().invoke(crm, ["--help"]).output
    assert [line.split()[0] for line in output.partition("Commands:\n")[2].splitlines() if line] == list(COMMANDS)


def test_the_help_of_a_token_names_every_scope() -> None:
    """The help of ``crm token create`` lists the scopes."""
    output = CliRunner().invoke(crm, ["token", "create", "--help"]).output
    words = " ".join(output.partition("--scope")[2].split())
    assert [scope for scope in (*SYNC_SCOPES, "RECORD_TYPE:read", "RECORD_TYPE:write") if scope not in words] == []

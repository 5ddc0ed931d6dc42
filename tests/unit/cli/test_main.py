from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from crm_core.access.scopes import SYNC_SCOPES
from crm_core.cli.main import COMMANDS, crm


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("pusj", "did you mean push?"),
        ("tokens", "did you mean token?"),
        ("xyz", "crm --help lists the commands"),
        ("help", "did you mean --help?"),
        ("tenant lst", "did you mean list?"),
        ("tenant help", "crm tenant --help lists the commands"),
        ("manager render apache", "crm manager render --help lists the commands"),
    ],
)
def test_an_unknown_command_suggests_a_known_one(word: str, hint: str) -> None:
    """A typing mistake is wrong usage, and the message names the closest command."""
    result = CliRunner().invoke(crm, word.split(), prog_name="crm")
    assert result.exit_code == 2
    assert f"unknown command {word.rsplit(maxsplit=1)[-1]}; {hint}" in result.output


@pytest.mark.parametrize("words", ["--config x tenant list", "--json keys list", "tenant --config x list"])
def test_an_option_in_front_of_its_command_is_sent_behind_it(words: str) -> None:
    """Every command has --config, so people write it first; other unknown options are refused as they are."""
    result = CliRunner().invoke(crm, words.split(), prog_name="crm")
    assert result.exit_code == 2
    assert "comes after the command: crm " in result.output
    assert "No such option" in CliRunner().invoke(crm, ["--nothing"]).output


def test_groups_list_their_commands_in_whole_sentences() -> None:
    """In a terminal of 80 columns no summary of a command is cut off."""
    for name in COMMANDS:
        shown = CliRunner().invoke(crm, [name, "--help"], prog_name="crm").output.partition("Commands:\n")[2]
        assert "..." not in shown, name


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

from __future__ import annotations

import pytest
from click.testing import CliRunner

from crm_core.access.scopes import SYNC_SCOPES
from crm_core.cli.main import COMMANDS, crm


@pytest.mark.parametrize(
    ("word", "told"),
    [("pusj", "did you mean push?"), ("tokens", "did you mean token?"), ("xyz", "crm --help lists them")],
)
def test_a_command_that_is_not_there_leads_to_one_that_is(word: str, told: str) -> None:
    """A slip is wrong usage, and the command that was meant is named."""
    result = CliRunner().invoke(crm, [word])
    assert result.exit_code == 2
    assert f"there is no command {word}; {told}" in result.output


def test_the_help_lists_every_command_with_what_it_is_for() -> None:
    """The table stands in --help, in its order, without a command being imported."""
    output = CliRunner().invoke(crm, ["--help"]).output
    assert [line.split()[0] for line in output.partition("Commands:\n")[2].splitlines() if line] == list(COMMANDS)


def test_the_help_of_a_token_names_every_scope() -> None:
    """Whoever makes the first token need not look the scopes up."""
    output = CliRunner().invoke(crm, ["token", "create", "--help"]).output
    words = " ".join(output.partition("--scope")[2].split())
    assert [scope for scope in (*SYNC_SCOPES, "RECORD_TYPE:read", "RECORD_TYPE:write") if scope not in words] == []

from __future__ import annotations

import io
import sys

import click
import pytest

from crm_core.cli.user import command


@pytest.mark.parametrize(
    ("stdin", "reason"),
    [
        (None, "standard input is closed; pipe the password in"),
        (io.TextIOWrapper(io.BytesIO(b"caf\xe9 and water\n"), "utf-8"), "the password is not UTF-8"),
    ],
)
def test_a_password_needs_standard_input_in_utf_8(
    monkeypatch: pytest.MonkeyPatch, stdin: io.TextIOWrapper | None, reason: str
) -> None:
    """A closed standard input, and a password in another encoding, are refused by a sentence."""
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(click.UsageError, match=reason):
        command.main(["passwd", "--tenant", "a", "root@example.com", "--password-stdin"], standalone_mode=False)


def test_no_terminal_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, and without standard input at all, a command that would ask says what to add."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(click.UsageError, match="use --password-stdin"):
        command.main(["passwd", "--tenant", "a", "root@example.com"], standalone_mode=False)

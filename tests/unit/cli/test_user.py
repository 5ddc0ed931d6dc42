from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_what_is_said_at_the_prompt_is_not_in_the_output(config: Path, crm: Callable[..., Any]) -> None:
    """A person who mistypes the second one reads so on the terminal; what a program reads is the document alone."""
    assert crm("tenant", "create", "contoso").code == 0
    words = [
        "user",
        "create",
        "--tenant",
        "contoso",
        "--email",
        "ada@example.com",
        "--role",
        "admin",
        "--json",
    ]
    person, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "crm_core.cli", *words, "--config", str(config)],
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as asking:
        os.close(terminal)
        for prompt, typed in (("Password", "right"), ("Repeat", "wrong"), ("Password", "right"), ("Repeat", "right")):
            said = b""
            while prompt not in said.decode() or not said.endswith(b": "):
                said += os.read(person, 1000)
            os.write(person, f"{typed} horse battery\n".encode())
        assert asking.stdout is not None
        made = json.loads(asking.stdout.read())
    os.close(person)
    assert (made["email"], asking.returncode) == ("ada@example.com", 0)

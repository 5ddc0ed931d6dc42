from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    ("--help",),
    ("keys", "generate"),
    ("plugins", "--json"),
    ("tenant", "create", "acme"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirect", "message"),
    [
        (">/dev/full", "standard output cannot be written (No space left on device); the output is incomplete\n"),
        ("1</dev/null", "standard output cannot be written (Bad file descriptor); the output is incomplete\n"),
        (">&-", "standard output is closed; redirect it to a file or to /dev/null\n"),
    ],
    ids=["full", "read-only", "closed"],
)
@pytest.mark.usefixtures("config")
def test_output_that_cannot_be_written_is_one_sentence(words: tuple[str, ...], redirect: str, message: str) -> None:
    """A full disk, a descriptor that cannot be written and a closed one end a command with a sentence and exit 1."""
    done = run(f"{sys.executable} -m crm_core.cli {' '.join(words)} {redirect}")
    assert (done.returncode, done.stderr) == (1, message)


def test_a_command_without_standard_error_works(config: Path) -> None:
    """A daemon's may be closed: there is no progress to show then, and all tenants are checked."""
    done = run(f"{sys.executable} -m crm_core.cli tenant create one two 2>&-")
    assert done.returncode == 0
    done = run(f"{sys.executable} -m crm_core.cli doctor --json 2>&-")
    assert list(json.loads(done.stdout)["tenants"]) == ["one", "two", "northwind"]


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_disk_is_noticed_with_and_without_a_buffer(unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is reported whether a write or the flush at the end meets it."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = run(f"{sys.executable} -m crm_core.cli keys generate >/dev/full")
    assert (done.returncode, done.stderr.splitlines()[1:]) == (1, [])


def test_a_reader_that_closes_the_pipe_ends_a_command_quietly(config: Path) -> None:
    """Output into a pipe whose reader has left is exit 1 without a message."""
    done = run(f"{sys.executable} -m crm_core.cli keys list --config {config} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (1, "")


def run(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell."""
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.box import TENANT, Box
from crm_core.cli.main import crm
from crm_core.cli.running import boundary
from crm_core.errors import CrmError, Finding, InvalidRecord, SetupError, StorageFull, StorageUnavailable, UnknownTenant
from reach import out_of_reach


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SetupError(["keys.yaml:1:1: wrong", "keys.yaml:2:1: wrong"]), "keys.yaml:1:1: wrong\nkeys.yaml:2:1: wrong\n"),
        (UnknownTenant(), "Unknown tenant; crm tenant list shows the tenants. (unknown_tenant)\n"),
        (StorageFull("The disk is full."), "The disk is full. (storage_full)\n"),
        (
            InvalidRecord("It does not fit.", errors=[Finding("/email", "invalid_value", "No address.")]),
            "It does not fit. (invalid_record)\n  /email: No address.\n",
        ),
        (
            StorageUnavailable("It cannot be read.", operator_detail="journal-1.log is empty."),
            "journal-1.log is empty. (storage_unavailable)\n",
        ),
    ],
)
def test_our_errors_end_a_command_with_their_text(
    error: CrmError | SetupError, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each problem is a line on standard error, with exit code 1 and no trace."""
    with pytest.raises(SystemExit) as ended, boundary():
        raise error
    assert ended.value.code == 1
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    ("error", "document"),
    [
        (SetupError(["one", "two"]), {"problems": ["one", "two"]}),
        (
            InvalidRecord("It does not fit.", errors=[Finding("/email", "invalid_value", "No address.")]),
            {
                "code": "invalid_record",
                "detail": "It does not fit.",
                "errors": [{"pointer": "/email", "code": "invalid_value", "message": "No address."}],
            },
        ),
    ],
)
def test_with_json_an_error_is_a_document_too(
    error: CrmError | SetupError,
    document: object,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program that called with --json finds JSON on standard output if the command fails."""
    monkeypatch.setattr(sys, "argv", ["crm", "tenant", "list", "--json"])
    with pytest.raises(SystemExit), boundary():
        raise error
    assert json.loads(capsys.readouterr().out) == document


def test_an_error_that_is_not_ours_is_not_hidden() -> None:
    """A bug in the program itself is raised."""
    with pytest.raises(ZeroDivisionError), boundary():
        1 / 0  # noqa: B018 -- the fault


@pytest.mark.parametrize("served", [False, True])
def test_words_that_are_not_utf_8_are_refused(tmp_path: Path, served: bool) -> None:
    """With a server and without: neither it nor a store could take them. What they are is not repeated."""
    box = Box(tmp_path / "box").create_tenants()
    if served:
        box.start()
    other = os.fsdecode(b"se\xffcret")
    for words in (
        ("tenant", "show", other),
        ("log", "list", "--tenant", TENANT, "--nonce", other),
        ("user", "create", "--tenant", TENANT, "--email", "a@example.com", "--role", "admin", "--name", other),
        ("tenant", "backup", TENANT, str(tmp_path / other)),
    ):
        rest = ("--password-stdin",) if words[0] == "user" else ()
        said = box.crm(*words, *rest, code=1, stdin="correct horse battery")
        assert said == "a word or the input of this command is not UTF-8; write it in UTF-8\n"
    assert box.stop() == 0


@pytest.mark.parametrize("closed", [".", "config"])
@pytest.mark.parametrize("words", [["config", "check"], ["serve"], ["keys", "check"], ["manager"], ["plugins"]])
def test_a_config_folder_of_another_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], closed: str
) -> None:
    """A command that someone else runs, in whose folder it may not look, says so and who may."""
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    tmp_path.chmod(0o755)
    with out_of_reach(Path(closed)):
        done = CliRunner().invoke(crm, [*words, "--config", "config"])
    assert done.exit_code == 2
    assert "config cannot be reached by this user; run crm as the server's user" in done.output

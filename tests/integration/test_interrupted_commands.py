"""Commands that were killed half way, or meet another one: the next run finishes them, or says what to do."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import forked
from contract.box import TENANT, Box
from crm_core.control import client


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """An instance with the tenant ``northwind``; a test may start it."""
    made = Box(tmp_path / "box").create_tenants()
    try:
        yield made
    finally:
        assert made.stop() == 0


def names(box: Box) -> tuple[list[str], set[str]]:
    """The tenants of the store, and those of the roster."""
    tenants = [one["tenant"] for one in json.loads(box.crm("tenant", "list", "--json"))]
    return tenants, {one["tenant"] for one in json.loads(box.crm("keys", "list", "--json"))}


def test_a_move_that_was_killed_is_finished_by_running_it_again(box: Box) -> None:
    """The store had its new name and the roster the old one: the second run renames the entry, key included."""
    roster = box.config / "keys.yaml"
    before = roster.read_text()
    box.crm("tenant", "move", TENANT, "westwind")
    roster.write_text(before)  # as if it had been killed before it edited the roster
    assert box.crm("tenant", "move", TENANT, "westwind").startswith("northwind is now westwind, with its entry in")
    assert names(box) == (["westwind"], {"westwind"})
    assert roster.read_text() == before.replace(TENANT, "westwind")


def test_a_move_that_was_killed_next_to_a_server_is_finished(box: Box) -> None:
    """The server renamed the store, and the command that it did this for edited no roster any more."""
    box.start()
    client.call(box.folder / "tenants", "store.move", {"tenant": TENANT, "name": "westwind"})
    assert names(box) == (["westwind"], {TENANT})
    assert box.crm("tenant", "move", TENANT, "westwind").startswith("northwind is now westwind, with its entry in")
    assert names(box) == (["westwind"], {"westwind"})


def test_an_entry_of_this_moment_counts(box: Box) -> None:
    """The server reads an edited roster within two seconds; what a restore says of it is true immediately."""
    box.start()
    box.crm("tenant", "backup", TENANT, str(box.folder / "copy"))
    box.crm("keys", "rotate", "westwind")
    assert "has no entry" not in box.crm("tenant", "restore", "westwind", str(box.folder / "copy"))
    assert "has no entry for eastwind" in box.crm("tenant", "restore", "eastwind", str(box.folder / "copy"))


def test_a_move_to_a_tenant_of_another_key_is_no_finished_one(box: Box) -> None:
    """A roster entry that the new name has already means that the tenant there is another one."""
    roster = box.config / "keys.yaml"
    before = roster.read_text()
    box.crm("tenant", "remove", TENANT, "--yes")
    box.crm("tenant", "create", "westwind")
    roster.write_text(before + roster.read_text().removeprefix("tenants:\n"))
    assert "unknown_tenant" in box.crm("tenant", "move", TENANT, "westwind", code=1)


def test_a_move_that_is_finished_gives_the_tokens_to_the_new_name(box: Box) -> None:
    """Killed between the folder and the tokens, the tokens are refused; the second run admits them."""
    headers = box.bearer("customers:read")
    (box.folder / "tenants" / TENANT).rename(box.folder / "tenants" / "westwind")
    box.start()
    assert box.client.get(f"{box.base('westwind')}/customers", headers=headers).status_code == 401
    box.crm("tenant", "move", TENANT, "westwind")
    assert box.client.get(f"{box.base('westwind')}/customers", headers=headers).status_code == 200


def test_a_creation_that_failed_or_was_killed_is_finished_with_its_keys(box: Box) -> None:
    """The entries are in the roster before the stores are made: no tenant is without a key, and none has two."""
    in_its_way = box.folder / "tenants" / ".new-litware"
    in_its_way.write_text("a file")
    assert "litware cannot be created" in box.crm("tenant", "create", "contoso", "litware", code=1)
    before = (box.config / "keys.yaml").read_text()
    assert names(box) == (["contoso", TENANT], {TENANT, "contoso", "litware"})
    in_its_way.unlink()
    assert box.crm("tenant", "create", "litware") == "created tenant litware\n"
    assert (box.config / "keys.yaml").read_text() == before
    assert "choose another name" in box.crm("tenant", "create", "fabrikam", "litware", code=1)
    assert (box.config / "keys.yaml").read_text() == before


def test_an_init_that_was_interrupted_before_its_user_is_finished(box: Box) -> None:
    """The files and the tenant are there already; the second run says so, and creates the user."""
    words = ("init", "--instance", "eu1", "--tenant", TENANT, "--admin", "ada@example.com")
    said = box.crm(*words).splitlines()
    assert said[-2:][0] == f"tenant {TENANT} exists already and stays as it is"
    assert said[-1].startswith("created super admin ada@example.com")


def test_a_removal_that_was_killed_before_the_roster_is_finished(box: Box) -> None:
    """The store was gone and the roster had the entry: the second run removes that, and asks like the first."""
    roster = box.config / "keys.yaml"
    before = roster.read_text()
    box.crm("tenant", "remove", TENANT, "--yes")
    roster.write_text(before)
    box.crm("tenant", "remove", TENANT, code=2)
    assert "was removed before" in box.crm("tenant", "remove", TENANT, "--yes")
    assert names(box) == ([], set())
    assert len(list((box.folder / "backups").iterdir())) == 1
    box.crm("tenant", "remove", TENANT, "--yes", code=1)


def test_a_removal_that_was_killed_in_its_backup_says_what_to_do(box: Box) -> None:
    """The tenant has another name by then; the refusal names the command that undoes it, and that command does."""
    tenants = box.folder / "tenants"
    (tenants / TENANT).rename(tenants / f"removing-{TENANT}")
    for words in (("tenant", "remove", TENANT, "--yes"), ("doctor",)):
        said = box.crm(*words, code=1)
        assert f"crm tenant move removing-{TENANT} {TENANT}" in said
        assert "crm tenant create" not in said
    assert f"crm tenant move removing-{TENANT} {TENANT}" in box.crm("config", "check")
    box.crm("tenant", "move", f"removing-{TENANT}", TENANT)
    assert names(box) == ([TENANT], {TENANT})
    box.crm("tenant", "remove", TENANT, "--yes")
    assert names(box) == ([], set())


def test_the_process_that_writes_a_backup_makes_its_folder(box: Box) -> None:
    """Where root runs the command, a folder of root's would be closed to the server."""
    box.start()
    target = box.folder / "backups" / "a.backup"
    (done,) = client.stream(box.folder / "tenants", "tenant.remove", {"tenant": TENANT, "backup": str(target)})
    assert (done["backup"], target.exists(), target.parent.stat().st_mode & 0o777) == (str(target), True, 0o700)


def test_a_tenant_created_again_after_a_killed_removal_is_removed_second(box: Box) -> None:
    """The tenant that the first removal left has to go first, and the refusal says so."""
    tenants = box.folder / "tenants"
    (tenants / TENANT).rename(tenants / f"removing-{TENANT}")
    box.crm("tenant", "create", TENANT)
    assert f"crm tenant remove removing-{TENANT}" in box.crm("tenant", "remove", TENANT, "--yes", code=1)
    box.crm("tenant", "remove", f"removing-{TENANT}", "--yes")
    box.crm("tenant", "remove", TENANT, "--yes")
    assert names(box) == ([], set())


def test_commands_at_the_same_time_wait_for_each_other(box: Box) -> None:
    """Without a server the folder belongs to one command at a time; none of several fails for that."""
    commands = [["tenant", "create", f"client-{number}"] for number in range(4)] + [
        ["tenant", "list"],
        ["doctor", TENANT],
    ]
    environ = {**box.environ, "CRM_CONFIG": str(box.config)}
    box.config.chmod(0o700)
    (box.config / "instance.yaml").chmod(0o600)
    (box.config / "keys.yaml").chmod(0o600)
    running = [subprocess.Popen([forked.crm(), *words], env=environ, stderr=subprocess.PIPE) for words in commands]
    assert [(process.wait(60), process.communicate()[1]) for process in running] == [(0, b"")] * len(commands)
    expected = [f"client-{number}" for number in range(4)] + [TENANT]
    assert names(box) == (expected, set(expected))


def test_a_move_whose_roster_edit_fails_says_what_is_left(box: Box) -> None:
    """Such as on a full disk, which the store got past: the tenant has its new name, and a second run does the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    box.start()  # the server renames, and this process edits the roster
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        refused = box.crm("tenant", "move", TENANT, "westwind", code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written" in refused
    assert "the tenant is westwind now, but its entry is not: run the command again" in refused
    box.crm("tenant", "move", TENANT, "westwind")
    assert names(box) == (["westwind"], {"westwind"})


@pytest.mark.parametrize("words", [("tenant", "list"), ("log", "export", "--tenant", TENANT)])
def test_a_person_sees_that_a_command_waits_for_a_server_that_hangs(box: Box, words: tuple[str, ...]) -> None:
    """On a terminal it says so until the server answers; what is read by a program has no word of it."""
    process = box.start().process
    assert process is not None
    environ = {**box.environ, "CRM_CONFIG": str(box.config)}
    terminal, its_end = pty.openpty()
    process.send_signal(signal.SIGSTOP)
    try:
        with subprocess.Popen([forked.crm(), *words], env=environ, stdout=subprocess.PIPE, stderr=its_end) as command:
            said = os.read(terminal, 1000).decode()
            assert said == f"waiting for the server of {box.folder / 'tenants'} ..."
            process.send_signal(signal.SIGCONT)
            printed, _ = command.communicate(timeout=30)
    finally:
        process.send_signal(signal.SIGCONT)
        os.close(its_end)
    assert os.read(terminal, 1000).decode() == "\r\033[K"
    assert command.returncode == 0
    assert b"waiting" not in printed

"""The command line: files, exit codes, and the same work whether a server runs or not."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from contract.box import BRANDING, SECRET_KEY, until
from contract.conftest import Boxes
from crm_core.cli.main import COMMANDS
from crm_core.cli.main import crm as program

PROGRAM = Path(sys.executable).parent / "crm"


def crm(*words: str, where: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder."""
    env = {**os.environ, "CRM_SECRET_KEY": SECRET_KEY, **environ}
    return subprocess.run(
        [PROGRAM, *words], cwd=where, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_init_writes_commented_files_that_are_good_and_overwrites_none(tmp_path: Path) -> None:
    """Four files for their owner's eyes only; the second time it leaves an edited one alone."""
    assert crm("init", "--instance", "eu1", where=tmp_path).returncode == 0
    config = tmp_path / "config"
    names = {path.name for path in config.iterdir()}
    assert names == {"instance.yaml", "keys.yaml", "modules.yaml", "roles.yaml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in config.iterdir()} == {0o600}
    assert yaml.safe_load((config / "instance.yaml").read_text())["instance"] == "eu1"
    assert crm("config", "check", where=tmp_path).returncode == 0
    (config / "roles.yaml").write_text("roles: {}\n")
    (config / "keys.yaml").unlink()
    again = crm("init", "--instance", "us9", where=tmp_path)
    assert again.returncode == 0
    assert (config / "roles.yaml").read_text() == "roles: {}\n"
    assert (config / "keys.yaml").exists()
    assert yaml.safe_load((config / "instance.yaml").read_text())["instance"] == "eu1"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing"], 2, "nothing"),
        (["init"], 2, "--instance"),
        (["init", "--instance", "EU 1"], 2, "a-z"),
        (["init", "--instance", "eu1", "--admin", "a@example.com"], 2, "--tenant"),
        (["init", "--instance", "eu1", "--tenant", "a", "--admin", "me"], 2, "email address"),
        (["tenant", "create"], 2, "NAME"),
        (["serve"], 1, "instance.yaml"),
        (["tenant", "list"], 1, "instance.yaml"),
        (["config", "check"], 1, "instance.yaml"),
        (["token", "create", "--tenant", "a"], 2, "--scope"),
        (["--help"], 0, "serve"),
        (["tenant", "create", "--help"], 0, "store"),
        (["--version"], 0, "crm"),
    ],
)
def test_exit_codes_say_done_refused_or_wrong_usage(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    """0, 1 and 2, each with a sentence and no trace; wrong usage writes nothing."""
    done = crm(*words, where=tmp_path)
    assert done.returncode == code, done
    assert code != 2 or not any(tmp_path.iterdir())
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def leaves(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, (*words, name))


def test_every_command_helps_and_takes_the_config_folder() -> None:
    """Each can be imported, says what it is for, and takes --config."""
    found = dict(leaves(program))
    assert {words[0] for words in found} == set(COMMANDS)
    assert [words for words, command in found.items() if not command.help] == []
    assert [words for words, one in found.items() if "--config" not in {o for p in one.params for o in p.opts}] == []


def test_commands_do_the_same_with_and_without_a_server(boxes: Boxes) -> None:
    """Over the private socket or on the folder itself; what one made the other finds."""
    box = boxes(start=False)
    box.crm("tenant", "create", "before")
    box.start()
    box.crm("tenant", "create", "meanwhile")
    receipt = box.applied("branding", BRANDING)
    box.crm("tenant", "create", "meanwhile", code=1)
    for code in ("../x", "A", "-a", "a" * 64):
        box.crm("tenant", "create", code, code=1 if not code.startswith("-") else 2)
    shown = json.loads(box.crm("tenant", "show", "northwind", "--json"))
    listed = json.loads(box.crm("tenant", "list", "--json"))
    logged = json.loads(box.crm("log", "list", "--tenant", "northwind", "--json"))
    box.stop()
    assert json.loads(box.crm("tenant", "show", "northwind", "--json")) == shown
    assert json.loads(box.crm("tenant", "list", "--json")) == listed
    assert json.loads(box.crm("log", "list", "--tenant", "northwind", "--json")) == logged
    assert {one["tenant"] for one in listed} == {"before", "meanwhile", "northwind"}
    assert shown["sections"]["branding"]["version"] == receipt["version"]
    assert shown["log_head"] == receipt["log_head"]
    box.crm("tenant", "show", "unknown", code=1)
    roster = yaml.safe_load((box.config / "keys.yaml").read_text())["tenants"]
    assert roster.keys() == {"before", "meanwhile", "northwind"}
    assert roster["meanwhile"]["keys"][0]["version"] == 1
    box.crm("config", "check")


def test_a_tenant_made_while_the_server_runs_takes_pushes(boxes: Boxes) -> None:
    """Its fresh key is picked up from the roster."""
    box = boxes()
    box.crm("tenant", "create", "fresh")
    key = yaml.safe_load((box.config / "keys.yaml").read_text())["tenants"]["fresh"]["keys"][0]
    secret = base64.b64decode(key["secret"].removeprefix("base64:"))
    box.reload(lambda: box.health("fresh")["enabled"])
    assert box.applied("branding", BRANDING, tenant="fresh", key=secret, key_version=1)["revision"] == 1


def test_a_second_server_names_the_first(boxes: Boxes) -> None:
    """Exit 1 with the pid of the one that has the folder; the first continues."""
    box = boxes()
    assert box.process is not None
    second = crm("serve", "--config", str(box.config), where=box.folder)
    assert second.returncode == 1
    assert str(box.process.pid) in second.stderr
    assert box.client.get("/healthz").status_code == 200


def test_sigterm_finishes_what_is_in_flight(boxes: Boxes) -> None:
    """A push whose last byte is still to come is answered; then the server exits with 0."""
    box = boxes()
    assert box.process is not None
    body = box.body("branding", BRANDING)
    fields = {"Host": "crm", "Expect": "100-continue", "Content-Length": str(len(body)), **box.sign("branding", body)}
    head = "\r\n".join(
        [f"POST {box.base()}/sync/branding HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    )
    with socket.create_connection(("127.0.0.1", box.port), 20) as connection:
        connection.sendall(head.encode() + body[:-1])
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # the server has read what came
        box.process.send_signal(signal.SIGTERM)
        until(lambda: not _accepts(box.port), box.log_text)  # and has begun to drain
        connection.sendall(body[-1:])
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert box.process.wait(20) == 0
    box.process = None
    assert "Traceback" not in box.log_text()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 20).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closed its socket just then
        return False
    return True


def test_serve_prints_one_line_with_its_address(boxes: Boxes) -> None:
    """Once it accepts requests; everything else goes to its log, a JSON object a line."""
    box = boxes()
    assert len(box.said().splitlines()) == 1
    box.push("branding", BRANDING, path="/i/eu1/t/unknown/api/v1/sync/branding")
    assert [json.loads(line) for line in box.log_text().splitlines()]

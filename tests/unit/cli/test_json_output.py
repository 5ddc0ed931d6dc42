"""What commands that change something print for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from crm_core.cli.main import crm as program
from crm_core.settings.secrets import Secrets

Crm = Callable[..., Any]


def read(made: Any, code: int = 0) -> Any:
    """The document that a command printed, and nothing else."""
    assert made.code == code, made.err
    return json.loads(made.out)


def test_generated_keys(crm: Crm) -> None:
    """The secret, or both halves of a pair, as the lines for people have them."""
    made = read(crm("keys", "generate", "--form", "hex", "--json"))
    assert list(made) == ["secret"]
    assert len(Secrets({}, Path()).reference(made["secret"])) == 32
    pair = read(crm("keys", "generate", "--ed25519", "--json"))
    assert list(pair) == ["private", "public"]
    assert pair["private"].startswith("whsk_")
    assert pair["public"].startswith("ed25519:")


def test_a_rotation(config: Path, crm: Crm) -> None:
    """The new key's version, kind and limits, and how earlier ones end; the secret stays in keys.yaml."""
    roster = config / "keys.yaml"
    roster.write_text(roster.read_text() + "        types: [branding]\n")
    made = crm("keys", "rotate", "--json")
    (ending,) = read(made).pop("endings")
    assert (ending["key_version"], ending["revoked"]) == (2, False)
    assert ending["not_after"] in roster.read_text()
    new = {"tenant": "northwind", "key_version": 3, "kind": "secret"}
    limits = {"types": ["branding"], "sources": None, "schemes": None}
    assert {**new, **limits, "endings": [ending]} == read(made)
    assert "base64:" in roster.read_text()
    assert "base64:" not in made.out
    forced = read(crm("keys", "rotate", "--overlap", "revoke", "--force", "--json"))
    assert [(each["key_version"], each["not_after"], each["revoked"]) for each in forced["endings"]] == [
        (2, None, True), (3, None, True),
    ]  # fmt: skip


def test_a_revoked_key(config: Path, crm: Crm) -> None:
    """The versions that are left, none in the end; the advice stays on standard error."""
    crm("keys", "rotate")
    revoked = {"tenant": "northwind", "key_version": 2, "revoked": True, "active": [3]}
    assert read(crm("keys", "revoke", "northwind", "2", "--json")) == revoked
    last = crm("keys", "revoke", "northwind", "3", "--json")
    assert read(last)["active"] == []
    assert "crm keys rotate northwind creates one" in last.err


def test_a_check_of_keys(config: Path, crm: Crm) -> None:
    """Counts, warnings and problems; a tenant that cannot push is exit 1 with the same document."""
    (config / "keys.yaml").chmod(0o600)
    crm("tenant", "create", "acme", "northwind")
    good = {"tenants": 2, "keys": 2, "warnings": [], "problems": []}
    assert read(crm("keys", "check", "--json")) == good
    crm("keys", "revoke", "acme", "1")
    (problem,) = read(crm("keys", "check", "--json"), code=1)["problems"]
    assert problem.startswith("acme has no active key")
    (config / "keys.yaml").write_text("tenants: 5\n")
    assert read(crm("keys", "check", "--json"), code=1)["problems"][0].startswith("keys.yaml:1:10: ")


@pytest.mark.usefixtures("config")
def test_stores_of_tenants(tmp_path: Path, crm: Crm) -> None:
    """Fold, backup, restore, move and the reset of a version, each with its own members."""
    crm("tenant", "create", "northwind")
    assert read(crm("tenant", "fold", "--json")) == [{"tenant": "northwind", "refused": None}]
    file = tmp_path / "copy"
    copied = read(crm("tenant", "backup", "northwind", str(file), "--json"))
    assert copied == {"tenant": "northwind", "file": str(file), "bytes": file.stat().st_size}
    restored = crm("tenant", "restore", "south", str(file), "--json")
    assert read(restored) == {"tenant": "south", "revision": 0, "in_roster": False, "access_ended": False}
    assert "keys.yaml has no entry for south" in restored.err
    moved = {"tenant": "north", "was": "northwind", "in_roster": True, "access_stays": True}
    assert read(crm("tenant", "move", "northwind", "north", "--json")) == moved
    refused = read(crm("tenant", "reset-version", "north", "branding", "--json"), code=1)
    assert refused["code"] == "not_found"
    assert read(crm("migrate", "--json")) == {"done": []}


def commands(command: click.Command, *words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something by itself, by its words."""
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, *words, name)


def test_every_command_with_output_to_parse_has_json() -> None:
    """Only those that serve, write files, or print a format that their options name have none."""
    without = {
        words for words, command in commands(program) if not any("--json" in each.opts for each in command.params)
    }
    assert without == {"init", "serve", "manager render nginx", "plugin new", "log export"}


def test_a_failure_is_the_only_document(config: Path, crm: Crm) -> None:
    """The plugins could be listed, and the stores could not be read: what is wrong comes alone."""
    (config.parent / "tenants").write_text("a file")
    failed = read(crm("plugins", "--json"), 1)
    assert list(failed) == ["problems"]
    assert "cannot be used as tenants folder" in failed["problems"][0]

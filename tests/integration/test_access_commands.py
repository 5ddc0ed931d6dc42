from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import forked

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command on its own instance with the tenant ``northwind``."""
    config = tmp_path_factory.mktemp("instance") / "config"
    environ = {**os.environ, "CRM_SECRET_KEY": "k" * 40, "CRM_CONFIG": str(config)}

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [forked.crm(), *words], env=environ, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    done = run("init", "--instance", "eu1", "--tenant", "northwind", "--admin", "root@example.com")
    assert done.returncode == 0, done.stderr
    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_token_is_printed_once_listed_without_its_text_and_revoked(crm: Run) -> None:
    """The JSON form has the members of the contract; a list never contains the text; revoking shows in the list."""
    options = ("--tenant", "northwind", "--json")
    made = answer(crm("token", "create", *options, "--scope", "sync:health", "--name", "ERP", "--expires", "90d"))
    assert made.keys() == {"token", "id", "scopes", "expires_at"}
    plain = crm("token", "create", "--tenant", "northwind", "--scope", "sync:read")
    assert plain.stdout.startswith("crm_")
    assert len(plain.stdout.split()) == 1
    listed = crm("token", "list", *options)
    assert made["token"] not in listed.stdout
    assert answer(crm("token", "revoke", made["id"], *options))["revoked_at"]
    assert [one["state"] for one in answer(crm("token", "list", *options))] == ["revoked", "active"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("token", "create", "--tenant", "northwind", "--scope", "snc:read"), 1, "did you mean `sync:read`?"),
        (("token", "create", "--tenant", "northwind"), 2, "--scope"),
        (("token", "create", "--tenant", "northwind", "--scope", "sync:read", "--expires", "soon"), 2, "such as 90d"),
        (("token", "create", "--tenant", "unknown", "--scope", "sync:read"), 1, "unknown_tenant"),
        (("token", "revoke", "--tenant", "northwind", "nothing"), 1, "crm token list"),
        (("user", "create", "--tenant", "northwind", "--email", "a@x.de", "--role", "agent"), 2, "--password-stdin"),
        (("user", "assign", "--tenant", "northwind", "root@example.com"), 2, "--everything"),
        (("user", "disable", "--tenant", "northwind", "root@example.com"), 1, "last super admin"),
        (("user", "passwd", "--tenant", "northwind", "no@x.de", "--password-stdin"), 1, "no@x.de"),
    ],
)
def test_what_is_refused_says_why(crm: Run, words: tuple[str, ...], status: int, said: str) -> None:
    """Wrong usage exits 2, a refusal 1, each with a sentence on standard error and nothing on standard output."""
    done = crm(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr


def test_users_are_made_narrowed_shut_out_and_let_in(crm: Run) -> None:
    """Each command answers with the user as in the API; the password comes from standard input."""
    options = ("--tenant", "northwind", "--json")
    new = ("--email", "ada@example.com", "--role", "agent", "--name", "Ada", "--password-stdin")
    made = answer(crm("user", "create", *new, *options, stdin=PASSWORD + "\n"))
    assert made.keys() == {"id", "email", "name", "role", "assignment", "disabled", "revision"}
    narrowed = answer(crm("user", "assign", "ada@example.com", "deals.*", "*.view", "--role", "manager", *options))
    assert (narrowed["role"], narrowed["assignment"]) == ("manager", ["deals.*", "*.view"])
    assert answer(crm("user", "assign", "ada@example.com", "--everything", *options))["assignment"] is None
    assert answer(crm("user", "disable", "ada@example.com", *options))["disabled"]
    assert not answer(crm("user", "disable", "ada@example.com", "--undo", *options))["disabled"]
    assert answer(crm("user", "passwd", "Ada@example.com", "--password-stdin", *options, stdin="another one\n"))
    assert [one["email"] for one in answer(crm("user", "list", *options))] == ["ada@example.com", "root@example.com"]
    assert (
        "agent, all rights of the role"
        in crm("user", "assign", "ada@example.com", "--everything", "--role", "agent", *options[:2]).stdout
    )
    short = crm("user", "passwd", "ada@example.com", "--password-stdin", "--tenant", "northwind", stdin="short\n")
    assert "8 to 256 characters" in short.stderr

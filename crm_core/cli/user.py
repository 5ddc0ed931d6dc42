"""``crm user``: the users of a tenant."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any, Final

import click

from crm_core.cli.groups import CommandGroup
from crm_core.cli.output import has_terminal
from crm_core.cli.running import perform, print_list, print_result, result_options, tenant_option

_LONGEST_LINE: Final = 4096
password_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@click.group("user", cls=CommandGroup)
def command() -> None:
    """Create and change users: roles, assignments and passwords."""


@command.command("create")
@tenant_option
@click.option("--email", required=True, help="The email address to sign in with.")
@click.option("--role", required=True, help="A role of roles.yaml, such as super_admin, admin, manager, agent, viewer.")
@click.option("--name", help="The person's name.")
@click.option(
    "--assign", "patterns", multiple=True, help="Limit the user to this feature key or pattern. Can be repeated."
)
@password_option
@result_options
def create(
    *,
    tenant: str,
    email: str,
    role: str,
    name: str | None,
    patterns: tuple[str, ...],
    from_stdin: bool,
    config: Path,
    as_json: bool,
) -> None:
    """Create a user. Prompts for the password, or reads it with --password-stdin."""
    user = {"email": email, "role": role, "name": name, "assignment": list(patterns) or None}
    user["password"] = _password(from_stdin=from_stdin)
    made = perform(config, "user.create", tenant=tenant, user=user)
    _print_done(made, "created", as_json=as_json)


@command.command("list")
@tenant_option
@result_options
def listed(*, tenant: str, config: Path, as_json: bool) -> None:
    """List the users of a tenant by email address."""
    users = perform(config, "user.list", tenant=tenant)["users"]
    none = f"There are no users yet; crm user create --tenant {tenant} creates one."
    print_list(users, _show, none, as_json=as_json)


def _show(user: dict[str, Any]) -> None:
    parts = [user["email"], user["role"], user["name"] or "-", _assigned(user)]
    click.echo("  ".join(parts + (["disabled"] if user["disabled"] else [])))


@command.command("passwd")
@click.argument("email")
@tenant_option
@password_option
@result_options
def passwd(*, email: str, tenant: str, from_stdin: bool, config: Path, as_json: bool) -> None:
    """Set a user's password, and end all their sessions."""
    password = _password(from_stdin=from_stdin)
    changed = perform(config, "user.passwd", tenant=tenant, email=email, password=password)
    _print_done(changed, "set the password of", as_json=as_json)


@command.command("assign", short_help="Limit a user to some feature keys.")
@click.argument("email")
@click.argument("patterns", nargs=-1)
@tenant_option
@click.option("--everything", is_flag=True, help="Everything that the role allows.")
@click.option("--role", help="Also give the user this role.")
@result_options
def assign(
    *,
    email: str,
    patterns: tuple[str, ...],
    tenant: str,
    everything: bool,
    role: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Limit a user to PATTERNS, such as customers.* or "*.view", within the role; --everything removes the limit."""
    if everything == bool(patterns) and (everything or role is None):
        raise click.UsageError("add patterns, --everything or --role")
    patch: dict[str, Any] = {} if role is None else {"role": role}
    if everything or patterns:
        patch["assignment"] = list(patterns) or None
    changed = perform(config, "user.change", tenant=tenant, email=email, patch=patch)
    _print_done(changed, "assigned", as_json=as_json)


@command.command("disable", short_help="Block a user from signing in.")
@click.argument("email")
@tenant_option
@click.option("--undo", is_flag=True, help="Let a disabled user sign in again.")
@result_options
def disable(*, email: str, tenant: str, undo: bool, config: Path, as_json: bool) -> None:
    """Block a user from signing in, and end all their sessions."""
    changed = perform(config, "user.change", tenant=tenant, email=email, patch={"disabled": not undo})
    _print_done(changed, "enabled" if undo else "disabled", as_json=as_json)


def create_first(config: Path, tenant: str, email: str) -> None:
    """Create a tenant's first user, a super admin, and print the password once."""
    password = secrets.token_urlsafe(12)
    user = {"email": email, "role": "super_admin", "password": password}
    perform(config, "user.create", tenant=tenant, user=user)
    click.echo(f"created super admin {email} with the password {password}; it cannot be shown again")


def _password(*, from_stdin: bool) -> str:
    """The password, never from the command line: other users of the machine can read that."""
    if from_stdin:
        return _line_of_input()
    if not has_terminal():
        raise click.UsageError("there is no terminal to prompt for the password; use --password-stdin")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _line_of_input() -> str:
    if sys.stdin is None:
        raise click.UsageError("standard input is closed; pipe the password in")
    try:
        return sys.stdin.readline(_LONGEST_LINE).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError("the password is not UTF-8; pipe it in as UTF-8") from None


def _assigned(user: dict[str, Any]) -> str:
    return "all rights of the role" if user["assignment"] is None else " ".join(user["assignment"]) or "nothing"


def _print_done(user: dict[str, Any], done: str, *, as_json: bool) -> None:
    text = f"{done} {user['email']}: {user['role']}, {_assigned(user)}, id {user['id']}"
    print_result(user, text, as_json=as_json)

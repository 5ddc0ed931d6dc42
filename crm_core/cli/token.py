"""``crm token``: API tokens of external systems."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from crm_core.cli.groups import CommandGroup
from crm_core.cli.running import perform, print_json, print_list, print_result, result_options, tenant_option

_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}
_SCOPES_HELP: Final = (
    "A right of the token: RECORD_TYPE:read (view and export), RECORD_TYPE:write (create and update), "
    "RECORD_TYPE:delete (archive and restore), RECORD_TYPE:erase, such as customers:read, or sync:health, sync:read, "
    "sync:admin. Can be repeated."
)
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])")


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """``12h``, ``90d`` or ``4w`` as whole seconds."""
    if value is None:
        return None
    match = _LENGTH.fullmatch(value)
    if match is None:
        problem = f"{value!a} is not a length of time; enter a number with h, d or w, such as 90d"
        raise click.BadParameter(problem, ctx, param)
    return int(timedelta(**{_UNITS[match.group(2)]: int(match.group(1))}).total_seconds())


@click.group("token", cls=CommandGroup)
def command() -> None:
    """Create, list and revoke API tokens.

    Scopes are RECORD_TYPE:read (view and export), RECORD_TYPE:write (create and update), RECORD_TYPE:delete (archive
    and restore), RECORD_TYPE:erase (remove the data for good), sync:health, sync:read and sync:admin.
    """


@command.command("create")
@tenant_option
@click.option("--scope", "scopes", multiple=True, required=True, help=_SCOPES_HELP)
@click.option("--name", default="", help="What the token is for, such as the system that uses it.")
@click.option(
    "--expires", callback=_seconds, metavar="TIME", help="How long it is valid, such as 90d. [default: forever]"
)
@result_options
def create(
    *, tenant: str, scopes: tuple[str, ...], name: str, expires: int | None, config: Path, as_json: bool
) -> None:
    """Create a token and print it. It cannot be shown again."""
    made = perform(config, "token.create", tenant=tenant, scopes=list(scopes), name=name, expires_in=expires)
    if as_json:
        print_json(made)
        return
    click.echo(made["token"])
    ends = f"until {made['expires_at']}" if made["expires_at"] else "until it is revoked"
    click.echo(f"id {made['id']}, {' '.join(made['scopes'])}, valid {ends}. It cannot be shown again.", err=True)


@command.command("list")
@tenant_option
@result_options
def listed(*, tenant: str, config: Path, as_json: bool) -> None:
    """List the tokens of a tenant, oldest first, without their texts."""
    tokens = perform(config, "token.list", tenant=tenant)["tokens"]
    none = f"There are no tokens yet; crm token create --tenant {tenant} --scope SCOPE creates one."
    print_list(tokens, _show, none, as_json=as_json)


def _show(token: dict[str, Any]) -> None:
    ends = f"  expires {token['expires_at']}" if token["expires_at"] and token["state"] == "active" else ""
    last_used_at = token.get("last_used_at")  # a running server of 0.2.0 does not say it
    used = f"  last used {last_used_at}" if last_used_at else ""
    click.echo(f"{token['id']}  {token['state']:7}  {' '.join(token['scopes'])}  {token['name'] or '-'}{ends}{used}")


@command.command("revoke")
@click.argument("token_id", metavar="ID")
@tenant_option
@result_options
def revoke(*, token_id: str, tenant: str, config: Path, as_json: bool) -> None:
    """Revoke a token; open connections that use it end too."""
    done = perform(config, "token.revoke", tenant=tenant, token_id=token_id)
    print_result(done, f"revoked {done['id']}", as_json=as_json)

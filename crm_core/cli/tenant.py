"""``crm tenant``: create, list and change tenants."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import click

from crm_core.cli.running import config_option, json_option, perform, print_json
from crm_core.cli.store import COMMANDS as STORE_COMMANDS


@click.group("tenant")
def command() -> None:
    """Create, list, back up and restore tenants."""


@command.command("create")
@click.argument("name")
@config_option
def create(name: str, config: Path) -> None:
    """Make the tenant's store and, where keys.yaml has no entry for it, one with a fresh key."""
    create_tenant(config, name)


def create_tenant(config: Path, name: str) -> None:
    """Make a tenant and its entry in the roster; says what was done."""
    from crm_core.cli.roster_edit import add_tenant

    perform(config, "tenant.create", tenant=name)
    click.echo(f"created tenant {name}")
    secret = "base64:" + base64.b64encode(secrets.token_bytes(32)).decode()
    if add_tenant(config / "keys.yaml", name, version=1, secret=secret):
        click.echo(f"added {name} to {config / 'keys.yaml'} with a fresh key, version 1; hand it to the platform")


@command.command("list")
@config_option
@json_option
def names(config: Path, as_json: bool) -> None:  # noqa: FBT001 -- click passes it by name
    """List the tenants and the state of their stores."""
    tenants = perform(config, "tenant.list")["tenants"]
    if as_json:
        print_json(tenants)
        return
    for one in tenants:
        click.echo(f"{one['tenant']}  {one['mode']}" + (f"  {one['reason']}" if one["reason"] else ""))
    if not tenants:
        click.echo("There are no tenants yet; crm tenant create NAME creates one.", err=True)


@command.command("show")
@click.argument("name")
@config_option
@json_option
def show(name: str, config: Path, as_json: bool) -> None:  # noqa: FBT001 -- click passes it by name
    """Show a tenant's sections, modules and log head."""
    status = perform(config, "tenant.show", tenant=name)
    if as_json:
        print_json(status)
        return
    click.echo(f"{status['tenant']}: revision {status['revision']}, store {status['mode']}")
    if status["reason"]:
        click.echo(f"  {status['reason']}")
    for section, one in status["sections"].items():
        click.echo(f"  {section}: version {one['version']}, revision {one['revision']}, applied {one['applied_at']}")
    if not status["sections"]:
        click.echo("  no pushes yet")
    modules = ", ".join(f"{name} {state}" for name, state in status["modules"].items())
    click.echo(f"  modules: {modules}")
    click.echo(f"  log head: {status['log_head']['seq']}:{status['log_head']['hash']}")


@command.command("reset-version")
@click.argument("name")
@click.argument("section")
@config_option
def reset_version(name: str, section: str, config: Path) -> None:
    """Accept any version for SECTION again, after a platform pushed one that is too high by mistake.

    Nothing else changes. If a huge version was pushed with a leaked key, revoke that key instead.
    """
    done = perform(config, "tenant.reset-version", tenant=name, section=section)
    click.echo(f"{name}: {section} accepts any version again; the highest was {done['was']}")


for _one in STORE_COMMANDS:
    command.add_command(_one)

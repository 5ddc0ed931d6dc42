"""``crm manager``: the front of several instances, and the same routing as a configuration of nginx."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from crm_core.cli.groups import CommandGroup
from crm_core.cli.running import config_option, ignore_hangup

_FILE = "instances.yaml"


@click.group("manager", cls=CommandGroup, invoke_without_command=True)
@config_option
@click.pass_context
def command(ctx: click.Context, config: Path) -> None:
    """Run the front that routes /i/{instance}/... by instances.yaml, until SIGTERM.

    Prints one line with its address once it accepts requests, and finishes open requests at SIGTERM. Edits of
    instances.yaml take effect within two seconds, or at SIGHUP. Needs the extra `manager`.
    """
    if ctx.invoked_subcommand is None:
        _run(config)


def _run(config: Path) -> None:
    ignore_hangup()
    from crm_core.cli.log_lines import set_up_logging
    from crm_core.errors import SetupError
    from crm_core.model.ids import Ids
    from crm_core.server.process import EXIT_SECONDS, run

    try:
        from crm_core.manager.run import manage
    except ModuleNotFoundError as error:
        if error.name not in ("aiohttp", "multidict", "yarl"):
            raise
        raise SetupError(["crm manager needs aiohttp: pip install 'crm-core[manager]'"]) from None

    def ready(address: str) -> None:
        click.echo(f"crm manager serves {address} (pid {os.getpid()})")

    set_up_logging()
    run(manage(config / _FILE, ready=ready, now=_now, new_request_id=Ids(_now).new, exit_seconds=EXIT_SECONDS))


def _now() -> datetime:
    return datetime.now(UTC)


@command.group("render", cls=CommandGroup)
def render() -> None:
    """Print the routing of instances.yaml for another front."""


@render.command("nginx", short_help="Print an nginx configuration.")
@config_option
def nginx(config: Path) -> None:
    """Print an nginx configuration that routes as the manager does, for the http context (such as conf.d)."""
    from crm_core.manager.nginx import rendered
    from crm_core.settings.instances import load_instances

    click.echo(rendered(load_instances(config / _FILE)), nl=False)

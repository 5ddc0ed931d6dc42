"""``crm``: commands by name, each imported only when it runs, so that none loads another's libraries."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any, Final

import click

from crm_core import __version__
from crm_core.cli.groups import CommandGroup
from crm_core.cli.output import watch_output
from crm_core.cli.running import boundary, print_problem

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "init": ("crm_core.cli.init", "Write commented config files for a new instance."),
    "serve": ("crm_core.cli.serve", "Run the instance until SIGTERM."),
    "manager": ("crm_core.cli.manager", "Run the front that routes by instance code."),
    "tenant": ("crm_core.cli.tenant", "Create, list, back up and restore tenants."),
    "keys": ("crm_core.cli.keys", "Generate, rotate, revoke and list signing keys."),
    "token": ("crm_core.cli.token", "Create, list and revoke API tokens."),
    "user": ("crm_core.cli.user", "Create and change users."),
    "push": ("crm_core.cli.push", "Sign a payload and push it, as a platform would."),
    "apply": ("crm_core.cli.apply", "Bring tenants to what a folder says."),
    "health": ("crm_core.cli.health", "Show the signed health of tenants."),
    "sign": ("crm_core.cli.sign", "Print the signed headers of a push, or a curl command."),
    "explain": ("crm_core.cli.explain", "Show why a captured push was refused."),
    "history": ("crm_core.cli.history", "List the applied revisions of a section."),
    "restore": ("crm_core.cli.history:restore", "Make an earlier revision of a section the current one."),
    "log": ("crm_core.cli.log", "Read, follow, verify and export the sync log."),
    "config": ("crm_core.cli.config", "Check the config files."),
    "plugins": ("crm_core.cli.plugins", "List the plugins and what they add."),
    "plugin": ("crm_core.cli.plugin", "Start a plugin of your own."),
    "doctor": ("crm_core.cli.doctor", "Check files, permissions and log chains."),
    "migrate": ("crm_core.cli.migrate", "Bring stored data into this version's format, or to another backend."),
}


class Lazy(CommandGroup):
    """A group whose commands are in modules, as ``command`` unless the table names another."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Every command, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or "command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; wrong usage is a JSON document too if the caller wants JSON."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            print_problem({"problems": error.format_message().splitlines()})
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- as above
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="crm")
@click.pass_context
def crm(ctx: click.Context) -> None:
    """A multi-tenant CRM whose workspaces are configured from outside by signed payloads.

    Every command accepts --config DIR (default: config, or CRM_CONFIG) and explains itself with --help.
    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 something would change, 4 no answer.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """Entry point."""
    watch_output()
    with boundary():
        crm()

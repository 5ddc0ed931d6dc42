"""Groups of commands, and numbers on a command line: each refusal says what to write instead."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

import click

_OF_COMMANDS: Final = frozenset({"--config", "--json", "--tenant"})
_MEANT: Final = {"help": "--help", "version": "--version"}  # what other programs have as commands


class CommandGroup(click.Group):
    """A group that suggests the nearest command for an unknown one, and the place of an option of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in _OF_COMMANDS:
                raise
            place = f"{ctx.command_path} COMMAND {error.option_name} ..."
            raise click.UsageError(f"{error.option_name} comes after the command: {place}", ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Fails with a suggestion if there is none of that name."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        near = get_close_matches(name, [*known, *(word for word in _MEANT if ctx.parent is None)], n=1)
        hint = f"{ctx.command_path} --help lists the commands"
        if near:
            hint = f"did you mean {_MEANT.get(near[0], near[0])}?"
        raise click.UsageError(f"unknown command {name}; {hint}", ctx)


class Number(click.IntRange):
    """A whole number of at least ``min``, and at most ``max`` if there is one."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Fails with the range."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            known = f"of at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"enter a whole number {known}", param, ctx)

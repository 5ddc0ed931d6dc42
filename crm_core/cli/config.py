"""``crm config``: the files an admin edits."""

from __future__ import annotations

import os
from pathlib import Path

import click

from crm_core.cli.groups import CommandGroup
from crm_core.cli.running import perform, print_result, result_options
from crm_core.errors import SetupError


@click.group("config", cls=CommandGroup)
def command() -> None:
    """Check the config files."""


@command.command("check", short_help="Report every problem with its place.")
@result_options
def check(*, config: Path, as_json: bool) -> None:
    """Report every problem in the config files with file, line and column; exit 1 if there is any."""
    problems = problems_of(config)
    if problems:
        raise SetupError(problems)
    warnings = warnings_of(config)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    print_result({"problems": [], "warnings": warnings}, f"{config}: no problems found", as_json=as_json)


def warnings_of(config: Path) -> list[str]:
    """Warnings of roster entries whose tenant does not exist."""
    if not (config / "instance.yaml").exists():
        return []  # a manager's folder
    return list(perform(config, "tenant.unstored")["warnings"])


def problems_of(config: Path) -> list[str]:
    """Every problem of every file, and of the plugins that instance.yaml loads."""
    from crm_core.plugin.registry import build_registry
    from crm_core.settings.check import check as check_files
    from crm_core.settings.installation import languages_of, load_plugins, option_types
    from crm_core.settings.instance import load_instance
    from crm_core.settings.salvage import salvage

    path = config / "instance.yaml"
    try:
        settings = load_instance(path, environ=os.environ)
    except SetupError:
        settings = None  # reported below with the rest
    parts = settings or salvage(path)
    host = load_plugins(parts)
    problems = [f"plugin {plugin.name}: {plugin.error}" for plugin in host.broken]
    if parts is not None:
        try:
            parts.plugins.require([plugin.name for plugin in host.plugins])
        except SetupError as unknown:
            problems += unknown.problems
    try:
        _ = languages_of(host, settings).by_tag
    except SetupError as unreadable:
        problems += unreadable.problems
    try:
        registry = build_registry(host)
    except SetupError as clash:  # the files cannot be checked without what plugins add
        return [*problems, *clash.problems]
    return problems + check_files(
        config,
        sections=registry.sections,
        schemes=registry.schemes,
        record_types=registry.record_types.values(),
        options=option_types(registry),
        environ=os.environ,
        backends=registry.backends,
    )

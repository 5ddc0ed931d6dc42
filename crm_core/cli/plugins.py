"""``crm plugins``: the installed plugins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from crm_core.cli.running import print_json, result_options, stream


@click.command("plugins")
@result_options
def command(*, config: Path, as_json: bool) -> None:
    """List every plugin with its state and what it adds; exit 1 if one is broken or cannot read what is stored."""
    from crm_core.plugin.registry import UnfitPlugins, build_registry
    from crm_core.settings.installation import load_plugins
    from crm_core.settings.instance import load_instance

    instance = config / "instance.yaml"
    host = load_plugins(load_instance(instance, environ=os.environ) if instance.exists() else None)
    brought: Mapping[str, Sequence[tuple[str, str]]]
    problems: tuple[str, ...] = ()
    try:
        brought = build_registry(host).brought()
    except UnfitPlugins as error:
        brought, problems = error.brought, error.problems
    rows = [plugin.described(brought.get(plugin.name, ())) for plugin in host.plugins]
    for row in () if as_json else rows:
        text = f"{row['name']} {row['version']}  {row['state']}  {row['kind']}: {', '.join(row['brings'])}"
        click.echo(text.rstrip(": ") + (f"\n  {row['error']}" if row["error"] else ""))
    if not problems and not host.broken and instance.exists():
        unread = stream(config, "store.unread")
        problems = tuple(f"{item['tenant']}: {problem}" for item in unread for problem in item["problems"])
    if as_json:  # after all that may fail, which is a document by itself
        print_json(rows)
    for problem in problems:
        click.echo(problem, err=True)
    if problems or host.broken:
        raise SystemExit(1)

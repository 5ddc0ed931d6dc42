"""``crm history`` and ``crm restore``: undo a bad push."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crm_core.cli.diff import show_changes
from crm_core.cli.groups import Number
from crm_core.cli.running import perform, print_json, print_list, result_options, tenant_option, warn_of_quarantine


@click.command("history")
@click.argument("section")
@tenant_option
@click.option("--limit", type=Number(1, 500), default=10, show_default=True, help="How many revisions.")
@result_options
def command(*, section: str, tenant: str, limit: int, config: Path, as_json: bool) -> None:
    """List the applied revisions of SECTION and their changes, newest first."""
    items = perform(config, "history.list", tenant=tenant, section=section, limit=limit)["items"]
    warn_of_quarantine(config, tenant)
    print_list(items, _show, f"No push has changed {section} of {tenant} yet.", as_json=as_json)


def _show(item: dict[str, Any]) -> None:
    words = [f"revision {item['revision']}", f"version {item['version']}", item["applied_at"], item["actor"]]
    if item["payload_type"] != item["section"]:
        words.append(f"as part of {item['payload_type']}")
    click.echo("  ".join([*words, f"request {item['request_id']}"]))
    show_changes(item["changes"])


@click.command("restore")
@click.argument("section")
@click.argument("revision", type=Number(1))
@tenant_option
@click.option("--preview", is_flag=True, help="Show what would change, and change nothing.")
@result_options
def restore(*, section: str, revision: int, tenant: str, preview: bool, config: Path, as_json: bool) -> None:
    """Make REVISION of SECTION current again, as a new revision. crm history lists them.

    The undone push is not accepted again: the platform's next push needs a higher version. Current secrets stay.
    """
    receipt = perform(config, "history.restore", tenant=tenant, section=section, revision=revision, preview=preview)
    if as_json:
        print_json(receipt)
        return
    if preview:
        click.echo(f"preview of restoring revision {revision} of {section}; nothing was changed")
    else:
        click.echo(f"restored revision {revision} of {section} as revision {receipt['revision']}")
    show_changes(receipt["changes"])
    for warning in receipt["warnings"]:
        click.echo(click.style(f"  warning {warning['pointer']}: {warning['message']}", fg="yellow"), err=True)

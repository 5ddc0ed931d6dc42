"""``crm health``: the signed health of tenants, as their platforms see it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import httpx

from crm_core.cli.running import config_option, json_option
from crm_core.cli.sending import NO_ANSWER, RETRIES, show_pause, transport
from crm_core.cli.target import ConfigFolder, SigningTarget, sender, sender_options
from crm_core.client import ClientError, Unanswered
from crm_core.client.transport import TIMEOUT, drive, platform_of
from crm_core.errors import SetupError

_COLORS = {
    "ok": "green",
    "disabled": "cyan",
    "stale": "yellow",
    "degraded": "red",
    "failed": "red",
    "unanswered": "red",
}


@click.command("health")
@click.argument("tenants", metavar="[TENANT]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All tenants in keys.yaml.")
@sender_options
@config_option
@json_option
def command(
    *, tenants: tuple[str, ...], every: bool, tenant: str | None, config: Path, as_json: bool, **sent: Any
) -> None:
    """Ask for the signed health of tenants, by default of the only one in keys.yaml.

    Exits 1 unless all are ok or disabled, and 4 if one did not answer. --json prints a line for each.
    """
    if every and (tenants or tenant):
        raise click.UsageError("add either tenants or --all")
    folder = ConfigFolder(config)
    names: tuple[str | None, ...] = tuple(sorted(folder.outline.tenants)) if every else tenants or (tenant,)
    statuses = set()
    for report in _reports(folder, names, sent):
        statuses.add(report["status"])
        _show(report, as_json=as_json)
    if "unanswered" in statuses:
        raise SystemExit(NO_ANSWER)
    if statuses - {"ok", "disabled"}:
        raise SystemExit(1)


def _reports(
    folder: ConfigFolder, tenants: Iterable[str | None], sent: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """The health of each tenant, over the same connections: each new one costs more than a request."""
    with ExitStack() as opened:
        http: httpx.Client | None = None
        for tenant in tenants:
            try:
                by = sender(folder, tenant=tenant, **sent)
            except SetupError as error:
                if tenant is None:
                    raise
                yield {"tenant": tenant, "status": "failed", "reasons": str(error).splitlines()}
                continue
            if http is None:
                http = opened.enter_context(httpx.Client(transport=transport(by), timeout=TIMEOUT))
            yield _report(http, by)


def _report(http: httpx.Client, by: SigningTarget) -> Mapping[str, Any]:
    """The health of a tenant; if there is none, its status is ``unanswered`` or ``failed``, with the reason."""
    try:
        return drive(http, platform_of(by.target, by.signer, RETRIES).health(), show_pause).document
    except ClientError as error:
        status = "unanswered" if isinstance(error, Unanswered) else "failed"
        return {"tenant": by.target.tenant, "status": status, "reasons": str(error).splitlines()}


def _show(report: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    click.echo(f"{report['tenant']}  {click.style(report['status'], fg=_COLORS[report['status']])}")
    for reason in report["reasons"]:
        click.echo(f"  {reason}")

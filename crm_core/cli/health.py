"""``crm health``: the signed health of tenants, as their platforms see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from crm_core.cli.config_folder import ConfigFolder
from crm_core.cli.output import TenantReport
from crm_core.cli.running import result_options
from crm_core.cli.sending import NO_ANSWER, RETRIES, problem_lines, show_pause, transport, unanswered_lines
from crm_core.cli.target import SigningTarget, key_pairs, sender, sender_options, senders
from crm_core.client import ClientError, Pause, Refused, Retries, Unanswered
from crm_core.client.exchange import Steps
from crm_core.client.fleet import drive_all
from crm_core.client.transport import platform_of
from crm_core.errors import SetupError

_COLORS = {
    "ok": "green",
    "disabled": "cyan",
    "stale": "yellow",
    "degraded": "red",
    "failed": "red",
    "unanswered": "red",
}
_PARALLEL: Final = 32
_ONE_RETRY: Final = Retries(attempts=2, first_pause=1.0, longest_pause=60.0)
"""For several tenants: if the receiver is down, the answer should not take minutes."""

Report = Mapping[str, Any]


@click.command("health")
@click.argument("tenants", metavar="[TENANT]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All tenants in keys.yaml.")
@sender_options
@result_options
def command(
    *,
    tenants: tuple[str, ...],
    every: bool,
    tenant: str | None,
    private_key: tuple[str, ...],
    config: Path,
    as_json: bool,
    **sent: Any,
) -> None:
    """Request the signed health of tenants, by default of the only one in keys.yaml.

    Exits 1 unless all are ok or disabled, and 4 if one did not answer. --json prints a line for each.
    """
    if [every, bool(tenants), tenant is not None].count(True) > 1:
        raise click.UsageError("add either tenants, --tenant or --all")
    folder = ConfigFolder(config)
    names = sorted(folder.outline.tenants) if every else list(dict.fromkeys(tenants))
    if every and not names:
        raise click.UsageError(f"{config / 'keys.yaml'} has no tenants; crm tenant create NAME adds one")
    if len(names) > 1 or every:
        signing = dict(senders(folder, names, pairs=key_pairs(private_key), **sent))
    elif names:
        signing = dict(senders(folder, names, private_key=private_key, **sent))
    else:
        by = sender(folder, tenant=tenant, private_key=private_key, **sent)
        signing = {by.target.tenant: by}
    statuses = set(_reported(signing, as_json=as_json))
    if "unanswered" in statuses:
        raise SystemExit(NO_ANSWER)
    if statuses - {"ok", "disabled"}:
        raise SystemExit(1)


def _reported(signing: Mapping[str, SigningTarget | SetupError], *, as_json: bool) -> Sequence[str]:
    """Print the health of each tenant by name and how many have which status; return the statuses."""
    reports = TenantReport[Report](signing, _show, as_json=as_json)

    def add(report: Report) -> None:
        reports.add(report["tenant"], report["status"], report)

    def watch(_tenant: str, pause: Pause) -> None:
        if len(signing) == 1:
            show_pause(pause)

    ready = {name: by for name, by in signing.items() if isinstance(by, SigningTarget)}
    retries = RETRIES if len(signing) == 1 else _ONE_RETRY
    for name, error in signing.items():
        if isinstance(error, SetupError):
            add(_report(name, "failed", str(error)))
    drive_all(
        [(name, _steps(by, retries)) for name, by in ready.items()],
        _failed,
        parallel=_PARALLEL,
        transport=next((transport(by) for by in ready.values()), None),
        done=add,
        watch=watch,
    )
    if len(signing) > 1:
        reports.show_counts()
    return reports.statuses


def _steps(by: SigningTarget, retries: Retries) -> Steps[Report]:
    """Request the health of a tenant. Raises ClientError."""
    health = yield from platform_of(by.target, by.signer, retries).health()
    return {"reasons": [], **health.document, "tenant": by.target.tenant}


def _failed(tenant: str, error: ClientError) -> Report:
    """The report on a tenant whose health is not known: ``unanswered`` or ``failed``, with the reason."""
    if isinstance(error, Refused):
        return _report(tenant, "failed", *problem_lines(error.document))
    if isinstance(error, Unanswered):
        return _report(tenant, "unanswered", *unanswered_lines(error))
    return _report(tenant, "failed", str(error))


def _report(tenant: str, status: str, *reasons: str) -> Report:
    return {"tenant": tenant, "status": status, "reasons": [reason.strip() for reason in reasons]}


def _show(report: Report) -> None:
    click.echo(f"{report['tenant']}  {click.style(report['status'], fg=_COLORS.get(report['status']))}")
    for reason in report["reasons"]:
        click.echo(f"  {reason}")

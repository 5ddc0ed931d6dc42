"""``crm apply``: bring tenants to what a folder says, as their platforms would."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

import click
import msgspec

from crm_core.cli.apply_folder import read_folder
from crm_core.cli.config_folder import ConfigFolder
from crm_core.cli.diff import show_changes
from crm_core.cli.groups import Number
from crm_core.cli.output import TenantReport, clear_progress
from crm_core.cli.running import result_options
from crm_core.cli.sending import NO_ANSWER, RETRIES, WOULD_CHANGE, problem_lines, show_pause, transport
from crm_core.cli.target import SigningTarget, key_pairs, senders
from crm_core.client import ApplyOptions, DesiredTenant, Pause, TenantResult, apply_tenants
from crm_core.client.desired import failure
from crm_core.errors import SetupError
from crm_core.model.diff import pointer_to
from crm_core.model.secret_members import SecretMember, secret_members
from crm_core.settings.secrets import Secrets

_COLORS: Final = {"applied": "green", "previewed": "yellow", "refused": "red", "failed": "red", "unanswered": "red"}
_MOST_PARALLEL: Final = 64


@click.command("apply")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--plan", is_flag=True, help="Show what would change, and change nothing. Exits 3 if something would.")
@click.option("--only", metavar="TENANT", multiple=True, help="Only this tenant. May be repeated.")
@click.option("--parallel", type=Number(1, _MOST_PARALLEL), default=8, show_default=True, help="Tenants at a time.")
@click.option("--drop-secrets", is_flag=True, help="Also send sections that would lose a stored secret.")
@click.option("--with-secrets", is_flag=True, help="Also send sections in which only a secret may have changed.")
@click.option(
    "--private-key",
    "private_keys",
    metavar="REF",
    multiple=True,
    help="The private key of a key pair, for the tenant with its public key in keys.yaml. May be repeated.",
)
@click.option("--url", help="The receiver, such as https://host/i/eu1. [default: from instance.yaml]")
@result_options
def command(
    folder: Path,
    *,
    only: tuple[str, ...],
    parallel: int,
    private_keys: tuple[str, ...],
    url: str | None,
    config: Path,
    as_json: bool,
    **how: bool,
) -> None:
    """Bring tenants to what DIR says: DIR/TENANT/SECTION.yaml, or DIR/TENANT.yaml with sections as members.

    Sections that are as desired are left out; the rest is one combined push for each tenant, signed with its newest
    key that can sign here. Sections and tenants that DIR does not name stay. One tenant's failure stops no other, and
    running the command again does the rest. A secret is a reference: password: {secret: env:NAME}, or file:PATH.

    Exits 1 if any tenant was refused or failed, else 4 if any did not answer, else 3 if --plan shows changes. --json
    prints a line for each tenant.
    """
    source = ConfigFolder(config)
    desired = read_folder(folder, only, lambda section: _secret_members(source, section), Secrets(os.environ, folder))
    _ = source.outline  # raises if keys.yaml cannot be read: then nothing can be signed
    pairs = key_pairs(private_keys)
    report = TenantReport[TenantResult]([*desired.tenants, *desired.failed], _show, as_json=as_json)
    for tenant, why in desired.failed.items():
        report.add(tenant, "failed", failure(tenant, why))
    signing: dict[str, SigningTarget] = {}
    for tenant, by in senders(source, desired.tenants, url=url, pairs=pairs):
        if isinstance(by, SetupError):
            report.add(tenant, "failed", failure(tenant, str(by)))
        else:
            signing[tenant] = by
    tenants = [
        DesiredTenant(
            target=by.target,
            signer=by.signer,
            sections=desired.tenants[tenant],
            secrets={name: _secret_pointers(source, name) for name in desired.tenants[tenant]},
            unreadable=desired.unreadable[tenant],
        )
        for tenant, by in signing.items()
    ]
    through = next((transport(by) for by in signing.values()), None)
    apply_tenants(
        tenants,
        ApplyOptions(**how),
        parallel=parallel,
        transport=through,
        retries=RETRIES,
        done=lambda result: report.add(result.tenant, result.status, result),
        watch=_show_pause,
    )
    report.show_counts()
    raise SystemExit(_exit_code(report.statuses))


def _secret_members(source: ConfigFolder, section: str) -> tuple[SecretMember, ...]:
    """The secret members of a section; none if its payload type is not installed."""
    installed = source.registry.sections.get(section)
    return secret_members(installed.SECTION) if installed is not None else ()


def _secret_pointers(source: ConfigFolder, section: str) -> list[str]:
    return [pointer_to(*member.path) for member in _secret_members(source, section)]


def _exit_code(statuses: Collection[str]) -> int:
    """The exit code of the worst result."""
    if "refused" in statuses or "failed" in statuses:
        return 1
    if "unanswered" in statuses:
        return NO_ANSWER
    return WOULD_CHANGE if "previewed" in statuses else 0


def _show_pause(tenant: str, pause: Pause) -> None:
    clear_progress()
    show_pause(pause, tenant)


def _show(result: TenantResult) -> None:
    reason, *more = problem_lines(result.problem) if result.problem is not None else [""]
    headline = f"{result.tenant}  {click.style(result.status, fg=_COLORS.get(result.status))}"
    click.echo(headline + (f": {reason}" if reason else _applied_text(result)))
    for line in more:
        click.echo(line)
    if result.problem is not None and result.revision is not None:
        click.echo(f"  the other sections are applied{_applied_text(result)}")
    if result.changes:
        show_changes(msgspec.to_builtins(result.changes))


def _applied_text(result: TenantResult) -> str:
    return f" as revision {result.revision}" if result.revision is not None else ""

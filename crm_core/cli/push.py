"""``crm push``: push as a platform does, from a shell."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from crm_core.cli.diff import show_changes
from crm_core.cli.payload_file import read_data
from crm_core.cli.running import config_option, json_option, print_json
from crm_core.cli.sending import NO_ANSWER, WOULD_CHANGE, client, finding_line, problem_lines, unanswered_lines
from crm_core.cli.sign import show_request
from crm_core.cli.target import ConfigFolder, SigningTarget, sender, sender_options
from crm_core.client import (
    ClientError,
    Outcome,
    Refused,
    Strategy,
    Unanswered,
    envelope,
    fresh_nonce,
    push_to,
)
from crm_core.errors import CrmError, SetupError
from crm_core.model.envelope import MAX_VERSION


@click.command("push")
@click.argument("payload_type", metavar="TYPE")
@click.argument("file", metavar="FILE")
@click.option("--preview", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--strategy",
    type=click.Choice(["replace", "merge"]),
    default="replace",
    show_default=True,
    help="Whether FILE is the whole section, or a merge patch on it.",
)
@click.option("--version", type=click.IntRange(1, MAX_VERSION), help="[default: the lowest that health allows]")
@click.option("--exit-code", is_flag=True, help="With --preview: exit 3 if something would change.")
@click.option("--dry-run", is_flag=True, help="Print the signed request and send nothing.")
@sender_options
@config_option
@json_option
def command(
    payload_type: str,
    file: str,
    *,
    preview: bool,
    strategy: Strategy,
    version: int | None,
    exit_code: bool,
    dry_run: bool,
    config: Path,
    as_json: bool,
    **sent: Any,
) -> None:
    """Sign a payload, push it and show what changed.

    FILE (YAML or JSON, - for standard input) is the data: of one section, or for TYPE combined of several, by name.
    """
    if exit_code and not preview:
        raise click.UsageError("--exit-code needs --preview")
    data = read_data(file)
    by = sender(ConfigFolder(config), **sent)
    if dry_run:
        _print_request(by, payload_type, data, version=version, strategy=strategy, preview=preview, as_json=as_json)
        return
    outcome = _pushed(by, payload_type, data, version=version, strategy=strategy, preview=preview, as_json=as_json)
    if as_json:
        print_json(outcome.document)
    else:
        _show_outcome(outcome, payload_type)
    if exit_code and outcome.document["changes"]:
        raise SystemExit(WOULD_CHANGE)


def _print_request(
    by: SigningTarget,
    payload_type: str,
    data: Mapping[str, Any],
    *,
    version: int | None,
    strategy: Strategy,
    preview: bool,
    as_json: bool,
) -> None:
    if version is None:
        click.echo("This request has version 1; without --dry-run, health says the next one.", err=True)
    try:
        body = envelope(by.target, payload_type, data, version=version or 1, strategy=strategy, preview=preview)
        request = push_to(by.target, payload_type, body)
        signature = by.signer(request, int(time.time()), fresh_nonce())
    except (ValueError, CrmError) as error:
        raise click.UsageError(getattr(error, "detail", str(error))) from None
    show_request(by, request, signature, as_json=as_json)


def _show_outcome(outcome: Outcome, payload_type: str) -> None:
    click.echo(_headline(outcome, payload_type))
    if outcome.status not in ("already_applied", "unchanged"):
        show_changes(outcome.document["changes"])
    for warning in outcome.warnings:
        click.echo(click.style(f"  warning {finding_line(warning.to_wire())}", fg="yellow"), err=True)


def _pushed(
    by: SigningTarget,
    payload_type: str,
    data: Mapping[str, Any],
    *,
    version: int | None,
    strategy: Strategy,
    preview: bool,
    as_json: bool,
) -> Outcome:
    """Push and return the outcome. A refusal is printed and exits 1, no answer exits 4. Raises SetupError."""
    with client(by) as sending:
        verb = sending.preview if preview else sending.push
        try:
            return verb(payload_type, data, version=version, strategy=strategy)
        except Refused as refused:
            if as_json:
                print_json(refused.document)
            else:
                _show_refusal(refused)
            raise SystemExit(1) from None
        except Unanswered as error:
            for line in unanswered_lines(error):
                click.echo(line, err=True)
            if as_json:
                print_json({"status": "unanswered", "detail": str(error)})
            raise SystemExit(NO_ANSWER) from None
        except (ClientError, ValueError) as error:
            raise SetupError([str(error)]) from None


def _show_refusal(refused: Refused) -> None:
    first, *more = problem_lines(refused.document)
    click.echo(click.style(f"refused: {first}", fg="red"), err=True)
    for line in more:
        click.echo(line, err=True)


def _headline(outcome: Outcome, payload_type: str) -> str:
    version = f"{payload_type} version {outcome.version}"
    if outcome.status == "previewed":
        return f"preview of {version}; nothing was changed"
    if outcome.status == "already_applied":
        return f"{version} has already been applied (request {outcome.request_id})"
    if outcome.status == "unchanged":
        return f"{version} accepted; nothing to change"
    return f"applied {version} as revision {outcome.revision}"

"""``crm push``: push as a platform does, from a shell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from crm_core.cli.config_folder import ConfigFolder
from crm_core.cli.diff import show_changes
from crm_core.cli.groups import Number
from crm_core.cli.output import finding_line
from crm_core.cli.payload_file import read_data
from crm_core.cli.running import print_json, result_options
from crm_core.cli.sending import NO_ANSWER, WOULD_CHANGE, client, problem_lines, unanswered_lines
from crm_core.cli.sign import refused_as_usage, show_request, strategy_option
from crm_core.cli.target import sender, sender_options
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
from crm_core.errors import SetupError
from crm_core.model.envelope import MAX_VERSION


@click.command("push")
@click.argument("payload_type", metavar="TYPE")
@click.argument("file", metavar="FILE")
@click.option("--preview", is_flag=True, help="Show what would change, and change nothing.")
@strategy_option
@click.option("--version", type=Number(1, MAX_VERSION), help="[default: the lowest that health allows]")
@click.option("--exit-code", is_flag=True, help="With --preview: exit 3 if something would change.")
@click.option("--dry-run", is_flag=True, help="Print the signed request and send nothing.")
@sender_options
@result_options
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
        if version is None:
            click.echo("This request has version 1: a dry run does not ask the receiver for the next one.", err=True)
        with refused_as_usage():
            body = envelope(by.target, payload_type, data, version=version or 1, strategy=strategy, preview=preview)
            request = push_to(by.target, payload_type, body)
            signature = by.signer(request, int(time.time()), fresh_nonce())
        show_request(by, request, signature, as_json=as_json)
        return
    with client(by) as sending, _failures_shown(as_json=as_json):
        send = sending.preview if preview else sending.push
        outcome = send(payload_type, data, version=version, strategy=strategy)
    if as_json:
        print_json(outcome.document)
    else:
        _show_outcome(outcome, payload_type)
    if exit_code and outcome.document["changes"]:
        raise SystemExit(WOULD_CHANGE)


def _show_outcome(outcome: Outcome, payload_type: str) -> None:
    click.echo(_headline(outcome, payload_type))
    if outcome.status not in ("already_applied", "unchanged"):
        show_changes(outcome.document["changes"])
    for warning in outcome.warnings:
        click.echo(click.style(f"  warning {finding_line(warning.to_wire())}", fg="yellow"), err=True)


@contextmanager
def _failures_shown(*, as_json: bool) -> Iterator[None]:
    """Print a refusal and exit 1, or no answer and exit 4. Raises SetupError for other failures."""
    try:
        yield
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

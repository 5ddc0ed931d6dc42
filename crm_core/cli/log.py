"""``crm log``: the sync log of a tenant."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from crm_core.cli.groups import CommandGroup, Number
from crm_core.cli.output import discard_output, finding_line, print_line
from crm_core.cli.running import (
    config_option,
    perform,
    print_json,
    print_list,
    result_options,
    stream,
    tenant_option,
    warn_of_quarantine,
)

F = TypeVar("F", bound=Callable[..., Any])
_COLORS: Final = {"applied": "green", "unchanged": "green", "previewed": "cyan", "rejected": "yellow", "failed": "red"}
_FEW: Final = 3
_LINK: Final = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}")  # of the chain
_FILTERS: Final = (
    ("--status", "status", "STATUS", "of this status: applied, unchanged, previewed, rejected or failed"),
    ("--type", "payload_type", "TYPE", "of this payload type"),
    (
        "--signature",
        "signature_result",
        "RESULT",
        "whose signature was valid, missing, malformed, unknown_key, inactive_key, invalid or unchecked",
    ),
    ("--code", "error_code", "CODE", "with this error code"),
    ("--since", "since", "TIME", "from this time on, such as 2026-11-24T02:00:00Z"),
    ("--until", "until", "TIME", "before this time"),
    ("--source", "source_ip", "ADDRESS", "from this address"),
    ("--request", "request_id", "ID", "of this request"),
    ("--nonce", "nonce", "NONCE", "with this nonce"),
)


def _filter(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The value of a filter. Fails with its values or their form, as the log's own filters say it."""
    if value is not None:
        from crm_core.errors import InvalidParameter
        from crm_core.sync.log import query_of

        try:
            query_of({str(parameter.name): value})
        except InvalidParameter as error:
            raise click.BadParameter(str(error.detail)) from None
    return value


def filters(command: F) -> F:
    """Add an option for each filter of the log, as an argument with the member's name."""
    for option, name, metavar, which in reversed(_FILTERS):
        command = click.option(option, name, metavar=metavar, callback=_filter, help=f"Only entries {which}.")(command)
    return command


def _filled_in(options: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}


@click.group("log", cls=CommandGroup)
def command() -> None:
    """Read, follow, verify and export the sync log of a tenant."""


@command.command("list")
@tenant_option
@click.option("--limit", type=Number(1, 500), default=20, show_default=True, help="How many entries.")
@filters
@result_options
def listed(*, tenant: str, limit: int, config: Path, as_json: bool, **options: str | None) -> None:
    """List the newest entries, newest first."""
    items = perform(config, "log.list", tenant=tenant, filters=_filled_in(options), limit=limit)["items"]
    warn_of_quarantine(config, tenant)
    none = "No entries match." if _filled_in(options) else "No push has arrived yet."
    print_list(items, _show, none, as_json=as_json)


@command.command("show", short_help="Show one entry with all its members.")
@click.argument("entry_id", metavar="ID")
@tenant_option
@result_options
def show(*, entry_id: str, tenant: str, config: Path, as_json: bool) -> None:
    """Show one entry with all its members, and each error of the input with its place.

    ID is the entry's id, or the request id of an answer.
    """
    entry = perform(config, "log.show", tenant=tenant, entry_id=entry_id)
    if as_json:
        print_json(entry)
        return
    findings = entry.pop("errors", ())
    width = max(map(len, entry))
    for name, value in entry.items():
        click.echo(f"{name:<{width}}  {'-' if value is None else value}")
    for finding in findings:
        click.echo(f"  {finding_line(finding)}")


@command.command("tail", short_help="Print entries as they arrive.")
@tenant_option
@click.option(
    "--last",
    type=Number(0, 500),
    default=10,
    show_default=True,
    help="How many earlier entries to print first.",
)
@filters
@result_options
def tail(*, tenant: str, last: int, config: Path, as_json: bool, **options: str | None) -> None:
    """Print the last entries, then each new one as it arrives, until interrupted; ends there if no server runs."""
    try:
        for entry in stream(config, "log.tail", tenant=tenant, filters=_filled_in(options), last=last):
            (print_line if as_json else _show)(entry)
    except KeyboardInterrupt:
        discard_output()  # an interrupted write may have written the line that is still in the buffer


def _link(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not _LINK.fullmatch(text):
        raise click.BadParameter("write SEQ:HASH, as log_head in answers and in health: 57:ab12... (64 hex digits)")
    return text


@command.command("verify", short_help="Check that no entry was changed or removed.")
@tenant_option
@click.option(
    "--head",
    metavar="SEQ:HASH",
    callback=_link,
    help="A link that must be in the chain: log_head of an answer or of health.",
)
@result_options
def verify(*, tenant: str, head: str | None, config: Path, as_json: bool) -> None:
    """Check that no verified entry was edited, removed or reordered; exit 1 if one was.

    To find that the end was cut off or rewritten, pass a link that you noted earlier with --head.
    """
    report = perform(config, "log.verify", tenant=tenant, head=head)
    if as_json:
        print_json(report)
    for problem in report["problems"]:
        click.echo(problem, err=True)
    if report["problems"]:
        click.echo("copy the tenant's files before you change anything, and compare them with a backup", err=True)
        raise SystemExit(1)
    if not as_json:
        head = f"{report['head']['seq']}:{report['head']['hash']}"
        click.echo(f"{tenant}: the chain of {report['entries']} entries is intact; its head is {head}")


@command.command("export", short_help="Write every entry as JSON lines or CSV.")
@tenant_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="How it is written.",
)
@filters
@config_option
def export(tenant: str, form: str, config: Path, **options: str | None) -> None:
    """Write every entry to standard output, newest first: a JSON object a line, or CSV."""
    from crm_core.model.spreadsheet import line as csv_line
    from crm_core.sync.log import CSV_MEMBERS

    out, head = sys.stdout.buffer, csv_line(CSV_MEMBERS) if form == "csv" else b""
    for entry in stream(config, "log.export", tenant=tenant, filters=_filled_in(options)):
        if form == "csv":
            out.write(head + csv_line(entry.get(name) for name in CSV_MEMBERS))
            head = b""
        else:
            out.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
    out.write(head)  # where no entry came
    out.flush()
    warn_of_quarantine(config, tenant)


def _show(entry: dict[str, Any]) -> None:
    """Print an entry with the first errors of its input, and the command that shows the rest."""
    click.echo(line(entry))
    errors = entry.get("errors", ())
    for error in errors[:_FEW]:
        click.echo(f"    {finding_line(error)}")
    if len(errors) > _FEW:
        click.echo(f"    {len(errors) - _FEW} more: crm log show {entry['id']} --tenant {entry['tenant']}")


def line(entry: dict[str, Any]) -> str:
    """An entry as one line of text."""
    status = click.style(f"{entry['status']:<9}", fg=_COLORS.get(entry["status"]))
    what = f"{entry['payload_type'] or '-'} {'v' + str(entry['payload_version']) if entry['payload_version'] else ''}"
    key = f"key {entry['key_version']}" if entry["key_version"] else "no key"
    count = f" (x{entry['count']})" if entry["count"] > 1 else ""
    source = f"{entry['source_ip'] or '-':<15}"
    return f"{entry['received_at']}  {status}  {what:<18} {key:<8} {source} {_result(entry)}{count}"


def _result(entry: dict[str, Any]) -> str:
    """The result of an attempt: the error, the revision, or that nothing has changed."""
    if entry["error_code"]:
        return f"{entry['error_code']}: {entry['error_message']}"
    if entry["status"] == "unchanged" and entry["revision"] is not None:
        return "no section changed"
    if entry["revision"] is not None:
        return f"revision {entry['revision']}"
    return entry["error_message"] or f"{entry['changes_count']} changes shown, none made"

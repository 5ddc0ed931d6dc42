"""``crm explain``: why a captured push was refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from crm_core.cli.config_folder import ConfigFolder
from crm_core.cli.output import finding_line
from crm_core.cli.payload_file import read_bytes
from crm_core.cli.running import print_json, result_options
from crm_core.errors import SetupError
from crm_core.explain.captured_request import CapturedRequest, UnreadableCapture
from crm_core.explain.captures import read_capture
from crm_core.explain.explanation import ExplainedCheck, Explanation, ReceiverRules
from crm_core.explain.visible import LEGEND, visible
from crm_core.explain.walk import explain
from crm_core.model.times import from_input

_SIGNS = {"passed": ("ok", "green"), "failed": ("FAILED", "red"), "unknown": ("?", "yellow")}
_SHOWN_BYTES = 4000  # of the signed text


def _moment(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else from_input(text)
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter("enter a time such as 2026-11-24T02:00:00Z, or Unix seconds") from None


def _address(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    from ipaddress import ip_address

    try:
        return text if text in (None, "unix") else str(ip_address(text))
    except ValueError:
        raise click.BadParameter("enter an address such as 10.0.0.7, or unix") from None


@click.command("explain")
@click.argument("file", metavar="FILE")
@click.option("--body", metavar="FILE", help="The file with the body, if FILE contains only the headers.")
@click.option("--url", help="The URL it was sent to, if FILE has no request line.")
@click.option("--at", metavar="TIME", callback=_moment, help="When it arrived: server_time of the refusal.")
@click.option("--source", metavar="ADDRESS", callback=_address, help="The address it came from, or unix.")
@result_options
def command(
    *,
    file: str,
    body: str | None,
    url: str | None,
    at: datetime | None,
    source: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Run a captured request through the checks, and show which fail and why.

    FILE (- for standard input) is a raw HTTP request, a curl command, or headers with the body in another file.
    Nothing is sent. Exits 1 if a check fails.
    """
    captured = _captured(file, body, url)
    try:
        explanation = explain(captured, _configuration(config), at=at, now=datetime.now(UTC), source=source)
    except ValueError as error:
        raise SetupError([str(error)]) from None
    if as_json:
        print_json(_plain(explanation))
    else:
        _show(explanation)
    if explanation.refused:
        raise SystemExit(1)


def _captured(file: str, body: str | None, url: str | None) -> CapturedRequest:
    try:
        return read_capture(
            read_bytes(file), url=url, body=None if body is None else read_bytes(body), read_file=read_bytes
        )
    except UnreadableCapture as error:
        raise SetupError([str(error)]) from None


def _configuration(config: Path) -> ReceiverRules:
    """The configuration of this folder's receiver. Raises SetupError."""
    folder = ConfigFolder(config)
    settings = folder.settings
    return ReceiverRules(
        instance=settings.instance,
        settings=settings.sync,
        roster=folder.roster,
        registry=folder.registry,
        public_url=settings.public_url,
    )


def _show(explanation: Explanation) -> None:
    for note in explanation.notes:
        click.echo(f"note: {note}")
    for check in explanation.checks:
        click.echo(_line(check))
        for finding in check.errors:
            click.echo(f"            {finding_line(finding.to_wire())}")
    if explanation.signed_text is not None:
        click.echo(f"\nsigned text of {explanation.scheme} ({LEGEND}):")
        for line in visible(explanation.signed_text[:_SHOWN_BYTES]):
            click.echo(f"  {line}")
        if len(explanation.signed_text) > _SHOWN_BYTES:
            click.echo(f"  ... {len(explanation.signed_text)} bytes in all")
    click.echo(f"\nbody as received: {explanation.body_bytes} bytes, SHA-256 {explanation.body_sha256}")
    for cause in explanation.causes:
        click.echo(click.style(f"\ncause: {cause.words}", bold=True))
        click.echo(f"  {cause.fix}")
    if not explanation.refused:
        click.echo("\nNo check fails.")


def _line(explained: ExplainedCheck) -> str:
    check, (sign, color) = explained.check, _SIGNS[explained.verdict]
    code = f"{explained.code}: " if explained.code else ""
    detail = f"  {code}{explained.detail}" if explained.detail else ""
    return f"{check.number:>2}  {click.style(f'{sign:<6}', fg=color)}  {check.title}{detail}"


def _plain(explanation: Explanation) -> dict[str, Any]:
    text = explanation.signed_text
    return {
        "refused": explanation.refused,
        "tenant": explanation.tenant,
        "scheme": explanation.scheme,
        "key": explanation.key,
        "checks": [
            {
                "number": explained.check.number,
                "title": explained.check.title,
                "verdict": explained.verdict,
                "code": explained.code,
                "detail": explained.detail,
                "errors": [finding.to_wire() for finding in explained.errors],
            }
            for explained in explanation.checks
        ],
        "causes": [{"code": cause.code, "words": cause.words, "mend": cause.fix} for cause in explanation.causes],
        "signed_text": text.decode(errors="backslashreplace") if text is not None else None,
        "body_bytes": explanation.body_bytes,
        "body_sha256": explanation.body_sha256,
        "notes": list(explanation.notes),
    }

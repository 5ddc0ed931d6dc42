"""``crm sign``: print the signed request, to send it by other means or to compare signers."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from crm_core.cli.config_folder import ConfigFolder
from crm_core.cli.groups import Number
from crm_core.cli.payload_file import read_bytes, read_data
from crm_core.cli.running import print_json, result_options
from crm_core.cli.target import SigningTarget, sender, sender_options
from crm_core.client import Strategy, Unsigned, envelope, fresh_nonce, health_of, push_to
from crm_core.client.signing import HEALTH
from crm_core.errors import CrmError, SetupError
from crm_core.model.envelope import MAX_VERSION

strategy_option = click.option(
    "--strategy",
    type=click.Choice(["replace", "merge"]),
    default="replace",
    show_default=True,
    help="Whether FILE is the whole section, or a merge patch on it.",
)


@click.command("sign")
@click.argument("payload_type", metavar="TYPE")
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--curl", is_flag=True, help="Print a whole curl command.")
@click.option("--body", "whole", is_flag=True, help="FILE is the whole body, signed byte for byte.")
@click.option("--preview", is_flag=True, help="Sign a preview.")
@strategy_option
@click.option("--version", type=Number(1, MAX_VERSION), help="The payload's version; required without --body.")
@click.option("--timestamp", type=Number(0), help="Unix seconds. [default: now]")
@click.option("--nonce", help="[default: a fresh one]")
@sender_options
@result_options
def command(
    payload_type: str,
    file: str | None,
    *,
    curl: bool,
    whole: bool,
    preview: bool,
    strategy: Strategy,
    version: int | None,
    timestamp: int | None,
    nonce: str | None,
    config: Path,
    as_json: bool,
    **sent: Any,
) -> None:
    """Print the headers of a signed push, an empty line and its body; or a whole curl command.

    FILE (YAML or JSON, - for standard input) is the data, as for crm push. TYPE health needs no FILE. With --timestamp
    and --nonce the same input gives the same signature, so you can compare another signer.
    """
    by = sender(ConfigFolder(config), **sent)
    with refused_as_usage():
        if payload_type == HEALTH:
            request = health_of(by.target)
        else:
            body = _body(by, payload_type, file, whole=whole, version=version, strategy=strategy, preview=preview)
            request = push_to(by.target, payload_type, body)
        signature = by.signer(request, int(time.time()) if timestamp is None else timestamp, nonce or fresh_nonce())
    if curl and not as_json:
        click.echo(_curl(by, request, {**dict(request.headers), **signature}, file if whole else None))
    else:
        show_request(by, request, signature, as_json=as_json, with_body=not whole)


@contextmanager
def refused_as_usage() -> Iterator[None]:
    """Report input that cannot be signed as wrong usage."""
    try:
        yield
    except (ValueError, CrmError) as error:
        raise click.UsageError(getattr(error, "detail", str(error))) from None


def show_request(
    by: SigningTarget, request: Unsigned, signature: Mapping[str, str], *, as_json: bool, with_body: bool = True
) -> None:
    """Print a signed request: its headers and body, or all of it as JSON."""
    headers = {**dict(request.headers), **signature}
    if as_json:
        url = by.target.origin + request.path
        print_json({"method": request.method, "url": url, "headers": headers, "body": _text(request.body)})
        return
    for name, value in headers.items():
        click.echo(f"{name}: {value}")
    if request.body and with_body:
        click.echo()
        click.echo(request.body)


def _body(
    by: SigningTarget,
    payload_type: str,
    file: str | None,
    *,
    whole: bool,
    version: int | None,
    strategy: Strategy,
    preview: bool,
) -> bytes:
    if file is None:
        raise click.UsageError("add the FILE with the data")
    if whole:
        return read_bytes(file)
    if version is None:
        raise click.UsageError("add --version: unlike crm push, crm sign does not ask the receiver for the next one")
    return envelope(by.target, payload_type, read_data(file), version=version, strategy=strategy, preview=preview)


def _curl(by: SigningTarget, request: Unsigned, headers: dict[str, str], file: str | None) -> str:
    """A command for a POSIX shell. A whole body is read from its file, any other is part of the command."""
    words = ["curl", "-sS", by.target.origin + request.path]
    if by.unix is not None:
        words += ["--unix-socket", str(by.unix)]
    for name, value in headers.items():
        words += ["-H", f"{name}: {value}"]
    if request.body:
        words += ["--data-binary", f"@{file}" if file not in (None, "-") else _text(request.body)]
    return " ".join(shlex.quote(word) for word in words)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise SetupError(["the body is not UTF-8, so no receiver accepts it; save it as UTF-8"]) from None

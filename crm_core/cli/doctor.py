"""``crm doctor``: everything that is wrong with config files, stores and logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from crm_core.cli.config import problems_of
from crm_core.cli.config_folder import read_roster, registry_of
from crm_core.cli.keys import without_active_key
from crm_core.cli.output import show_progress
from crm_core.cli.running import print_json, result_options, stream
from crm_core.errors import CrmError, SetupError

# A file elsewhere, as in /run/secrets, has the permissions that others decided on.
_REFERENCE: Final = re.compile(r"\bfile:([\w.-]+)(?![\w./-])")


@click.command("doctor")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@result_options
def command(*, names: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Check the config files, and every file and log chain of the named tenants. Without NAME: of all, and permissions.

    Exits 1 if anything is wrong. Undamaged files are only read. Without a running server, tenants are opened as a
    server would: a damaged file is moved aside, never deleted, and the tenant accepts no writes until you decide.
    """
    problems = [*problems_of(config), *(() if names else _open_to_others(config))]
    if not problems:
        problems += _without_active_key(config, names)
    report: dict[str, Any] = {"config": problems, "tenants": {}}
    wrong = len(problems)
    if not as_json:
        _show("config", problems)
    for number, checked in enumerate(_checked(config, names, problems), 1):
        show_progress(number, checked["of"])
        wrong += len(checked["problems"])
        report["tenants"][checked["tenant"]] = checked["problems"]
        if not as_json:
            _show(checked["tenant"], checked["problems"])
            _show_remedy(checked["tenant"], checked["mode"])
    if as_json:
        print_json(report)
    if wrong:
        raise SystemExit(1)


def _checked(config: Path, names: tuple[str, ...], problems: list[str]) -> Iterator[dict[str, Any]]:
    """The tenants' problems; none if instance.yaml cannot be used, which is among ``problems`` already."""
    try:
        yield from stream(config, "store.check", tenants=list(names))
    except (SetupError, CrmError):
        if not problems:
            raise


def _show(what: str, problems: list[str]) -> None:
    if not problems:
        click.echo(f"{what}: no problems found")
    for problem in problems:
        click.echo(f"{what}: {problem}")


def _show_remedy(tenant: str, mode: str) -> None:
    if mode == "quarantined":
        restore = f"move its folder away, then crm tenant restore {tenant} FILE"
        click.echo(f"{tenant}: accepts no writes; {restore}, or accept the rest (docs/storage.md explains how)")


def _without_active_key(config: Path, names: tuple[str, ...]) -> list[str]:
    roster = read_roster(config / "keys.yaml", registry_of(config))
    return without_active_key(roster, datetime.now(UTC), names)


def _open_to_others(config: Path) -> list[str]:
    """A problem for each config file, and secret in the folder that one refers to, which others can read."""
    files = sorted(config.glob("*.yaml"))
    secrets = {config / name for file in files for name in _REFERENCE.findall(_text(file))}
    return [
        f"{path} can be read by others: chmod {'0700' if path.is_dir() else '0600'} {path}"
        for path in (config, *files, *sorted(secrets.difference(files)))
        if path.exists() and path.stat().st_mode & 0o077
    ]


def _text(file: Path) -> str:
    """A file's text; none of one that cannot be read, which is a problem already."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""``crm doctor``, and the commands of ``crm tenant`` on a tenant's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from crm_core.cli.output import show_progress
from crm_core.cli.running import config_option, json_option, perform, print_json, stream, warn_of_quarantine
from crm_core.errors import CrmError, SetupError


@click.command("fold")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@config_option
def fold(names: tuple[str, ...], config: Path) -> None:
    """Fold the journals of the named tenants, or of all, into their TinyDB files now.

    The server does this itself when a journal has grown long. Afterwards TinyDB itself can read every record.
    """
    refused = 0
    for item in stream(config, "store.fold", tenants=list(names)):
        refused += bool(item["refused"])
        outcome = f"not folded: {item['refused']}" if item["refused"] else "folded"
        click.echo(f"{item['tenant']}  {outcome}", err=bool(item["refused"]))
    if refused:
        raise SystemExit(1)


@click.command("backup")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
def backup(name: str, file: Path, config: Path) -> None:
    """Write a consistent copy of a tenant with its log to a new FILE, while a running server continues to write.

    The file contains personal data, password hashes, and secrets encrypted with the instance's secret_key: also keep a
    copy of that key, in another place.
    """
    target = file.absolute()
    (_,) = stream(config, "store.backup", tenant=name, target=str(target))
    click.echo(f"{name}: copied to {file} ({_size(target)})")
    warn_of_quarantine(config, name)


@click.command("restore")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
def restore(name: str, file: Path, config: Path) -> None:
    """Create the tenant NAME from a backup.

    If the tenant exists, move its folder away first. A running server can stay up. A backup of a tenant with another
    name brings its users, but neither its API tokens nor its sessions.
    """
    (done,) = stream(config, "store.restore", tenant=name, source=str(file.absolute()))
    click.echo(f"{name}: restored from {file} at revision {done['revision']}")
    if done["access_ended"]:
        click.echo("it has no API tokens, since those of the backup are another tenant's", err=True)
    _hint_at_roster(config, name, there=done["in_roster"])


@click.command("move")
@click.argument("name")
@click.argument("new")
@config_option
def move(name: str, new: str, config: Path) -> None:
    """Rename the tenant NAME to NEW, with its records, users, tokens, history, log and entry in keys.yaml.

    URLs and signatures contain the name: platforms and clients must use the new one from then on.
    """
    from crm_core.cli.roster_edit import edit_roster, rename_tenant

    roster = config / "keys.yaml"
    edit_roster(roster, lambda _text: None)  # it can be edited
    done = perform(config, "store.move", tenant=name, name=new)
    renamed = rename_tenant(roster, name, new)
    click.echo(f"{name} is now {new}" + (f", with its entry in {roster}" if renamed else ""))
    if not done["access_stays"]:
        text = "its API tokens are refused, since it accepts no writes now: once it does, move it back and again"
        click.echo(text, err=True)
    _hint_at_roster(config, new, there=renamed or done["in_roster"])


@click.command("doctor")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@config_option
@json_option
def doctor(names: tuple[str, ...], config: Path, as_json: bool) -> None:  # noqa: FBT001 -- click passes it by name
    """Check the config files, permissions, and every file and log chain of the named tenants, or of all.

    Exits 1 if anything is wrong. Undamaged files are only read. Without a running server, tenants are opened as a
    server would: a damaged file is moved aside, never deleted, and the tenant accepts no writes until you decide.
    """
    from crm_core.cli.config import problems_of

    problems = [] if names else [*problems_of(config), *_open_to_others(config)]
    report: dict[str, Any] = {"config": problems, "tenants": {}}
    wrong = len(problems)
    if not as_json:
        _show("config", problems)
    for checked in _with_progress(_checked(config, names, problems)):
        wrong += len(checked["problems"])
        report["tenants"][checked["tenant"]] = checked["problems"]
        if not as_json:
            _show(checked["tenant"], checked["problems"])
            _show_remedy(checked["tenant"], checked["mode"])
    if as_json:
        print_json(report)
    if wrong:
        raise SystemExit(1)


COMMANDS = (fold, backup, restore, move)
"""Commands of ``crm tenant``."""


def _checked(config: Path, names: tuple[str, ...], problems: list[str]) -> Iterator[dict[str, Any]]:
    """The tenants' problems; none if instance.yaml cannot be used, which is among ``problems`` already."""
    try:
        yield from stream(config, "store.check", tenants=list(names))
    except (SetupError, CrmError):
        if not problems:
            raise


def _with_progress(items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same items, with progress on a terminal if there are several."""
    for number, item in enumerate(items, 1):
        show_progress(number, item["of"], "tenants")
        yield item


def _show(what: str, problems: list[str]) -> None:
    if not problems:
        click.echo(f"{what}: no problems found")
    for problem in problems:
        click.echo(f"{what}: {problem}")


def _show_remedy(tenant: str, mode: str) -> None:
    if mode == "quarantined":
        restore = f"move its folder away, then crm tenant restore {tenant} FILE"
        click.echo(f"{tenant}: accepts no writes; {restore}, or accept the rest (docs/storage.md explains how)")


def _open_to_others(config: Path) -> list[str]:
    """A problem for each config file that others can read: they may contain keys."""
    return [
        f"{path} can be read by others: chmod {'0700' if path.is_dir() else '0600'} {path}"
        for path in (config, *sorted(config.glob("*.yaml")))
        if path.exists() and path.stat().st_mode & 0o077
    ]


def _hint_at_roster(config: Path, name: str, *, there: bool) -> None:
    """Warn that a tenant without an entry in the roster accepts no pushes."""
    if not there:
        problem = f"{config / 'keys.yaml'} has no entry for {name}, so it accepts no pushes"
        click.echo(f"{problem}: rename its old entry, or create a key with crm keys rotate {name}.", err=True)


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / (1 << 20):,.1f} MiB" if size >= 1 << 20 else f"{size / 1024:,.1f} KiB"

"""``crm doctor``, ``crm migrate``, and what ``crm tenant`` does to a tenant's files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from crm_core.cli.running import config_option, json_option, perform, print_json, stream, warn_of_quarantine
from crm_core.errors import CrmError, SetupError


@click.command("fold")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@config_option
def fold(names: tuple[str, ...], config: Path) -> None:
    """Write what stands in the journals into the TinyDB files now: of the tenants named, or of all.

    The server does so by itself when a journal has grown long; afterwards stock TinyDB reads every record.
    """
    refused = 0
    for one in stream(config, "store.fold", tenants=list(names)):
        refused += bool(one["refused"])
        said = f"not folded: {one['refused']}" if one["refused"] else "folded"
        click.echo(f"{one['tenant']}  {said}", err=bool(one["refused"]))
    if refused:
        raise SystemExit(1)


@click.command("backup")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
def backup(name: str, file: Path, config: Path) -> None:
    """Write a consistent copy of a tenant, its log included, to a new FILE; a running server goes on writing.

    The file holds personal data and password hashes, and stored secrets sealed with the instance's secret_key: keep a
    copy of that key too, and elsewhere.
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
    """Make the tenant NAME from a backup.

    Where there is a tenant of that name, move its folder away first; a running server need not be stopped.
    """
    (done,) = stream(config, "store.restore", tenant=name, source=str(file.absolute()))
    click.echo(f"{name}: restored from {file} at revision {done['revision']}")
    _hint_at_roster(config, name, there=done["in_roster"])


@click.command("move")
@click.argument("name")
@click.argument("new")
@config_option
def move(name: str, new: str, config: Path) -> None:
    """Give the tenant NAME the name NEW; records, users, tokens, history and log stay with it.

    Addresses and signatures hold the name: platforms and clients must use the new one from then on.
    """
    done = perform(config, "store.move", tenant=name, name=new)
    click.echo(f"{name} is {new} now")
    _hint_at_roster(config, new, there=done["in_roster"])


@click.command("doctor")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@config_option
@json_option
def doctor(names: tuple[str, ...], config: Path, as_json: bool) -> None:  # noqa: FBT001 -- click passes it by name
    """Look for trouble: config files, permissions, and every file and log chain of the tenants named, or of all.

    Exit 1 where anything is wrong. What is whole is only read. Where no server runs, tenants are opened as a server
    would open them: a damaged file is moved aside, never deleted, and the tenant takes no writes until you have looked.
    """
    from crm_core.cli.config import problems_of

    problems = [] if names else [*problems_of(config), *_open_to_others(config)]
    found: dict[str, Any] = {"config": problems, "tenants": {}}
    wrong = len(problems)
    if not as_json:
        _tell("config", problems)
    for one in _shown(_checked(config, names, problems)):
        wrong += len(one["problems"])
        found["tenants"][one["tenant"]] = one["problems"]
        if not as_json:
            _tell(one["tenant"], one["problems"])
            _tell_mend(one["tenant"], one["mode"])
    if as_json:
        print_json(found)
    if wrong:
        raise SystemExit(1)


@click.command("migrate")
@config_option
def migrate(config: Path) -> None:
    """Bring what is stored into the form of this version; make backups first."""
    done = perform(config, "store.migrate")["done"]
    for line in done:
        click.echo(line)
    if not done:
        click.echo("Nothing to do: everything stored is of this version's form.")


COMMANDS = (fold, backup, restore, move)
"""What ``crm tenant`` takes from here."""


def _checked(config: Path, names: tuple[str, ...], problems: list[str]) -> Iterator[dict[str, Any]]:
    """The tenants' problems; where instance.yaml itself cannot be used that is told already."""
    try:
        yield from stream(config, "store.check", tenants=list(names))
    except (SetupError, CrmError):
        if not problems:
            raise


def _shown(items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same items, counted on a terminal where there are many."""
    for number, item in enumerate(items, 1):
        if sys.stderr.isatty() and item["of"] > 1:
            click.echo(f"\r{number}/{item['of']} tenants", nl=number == item["of"], err=True)
        yield item


def _tell(what: str, problems: list[str]) -> None:
    if not problems:
        click.echo(f"{what}: all is well")
    for problem in problems:
        click.echo(f"{what}: {problem}")


def _tell_mend(tenant: str, mode: str) -> None:
    if mode == "quarantined":
        restore = f"move its folder away, then crm tenant restore {tenant} FILE"
        click.echo(f"{tenant}: takes no writes; {restore}, or accept what is left (docs/storage.md says how)")


def _open_to_others(config: Path) -> list[str]:
    """Config files may hold keys: whoever else may read them is told."""
    return [
        f"{path} is open to others: chmod {'0700' if path.is_dir() else '0600'} {path}"
        for path in (config, *sorted(config.glob("*.yaml")))
        if path.exists() and path.stat().st_mode & 0o077
    ]


def _hint_at_roster(config: Path, name: str, *, there: bool) -> None:
    """A store without an entry in the roster takes no pushes: say so."""
    if not there:
        told = f"{config / 'keys.yaml'} has no entry for {name}, so it takes no pushes"
        mend = f"give its entry this name, or give it a fresh key: crm keys rotate {name}"
        click.echo(f"{told}: {mend}.", err=True)


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / (1 << 20):,.1f} MiB" if size >= 1 << 20 else f"{size / 1024:,.1f} KiB"

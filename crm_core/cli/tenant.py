"""``crm tenant``: create, list, change, back up and restore tenants."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from crm_core.cli.groups import CommandGroup
from crm_core.cli.output import has_terminal
from crm_core.cli.running import (
    perform,
    print_json,
    print_list,
    print_result,
    result_options,
    stream,
    warn_of_quarantine,
)
from crm_core.errors import SetupError, UnknownTenant


@click.group("tenant", cls=CommandGroup)
def command() -> None:
    """Create, list, back up and restore tenants."""


@command.command("create", short_help="Create tenants, each with a fresh key.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--from", "file", metavar="FILE", help="Also the names in this file, one a line (- for standard input).")
@result_options
def create(*, names: tuple[str, ...], file: str | None, config: Path, as_json: bool) -> None:
    """Create the store of each new tenant and, if keys.yaml has no entry for it, one with a fresh key.

    If one name is invalid or taken, none is created.
    """
    from crm_core.cli.payload_file import read_lines

    chosen = [*names, *(read_lines(file) if file is not None else ())]
    if not chosen:
        raise click.UsageError(
            "add a NAME, or --from FILE" if file is None else f"{file} has no names; write one a line"
        )
    added = create_tenants(config, chosen, show=not as_json)
    if as_json:
        print_json([{"tenant": name, "key_added": name in added} for name in chosen])


def create_tenants(config: Path, names: list[str], *, show: bool = True) -> list[str]:
    """Create tenants and their entries in the roster; return the names of those that got an entry.

    The entries are first, since one without a tenant does no harm: if this is killed, no tenant is without a key.
    """
    from crm_core.cli.roster_edit import add_tenants, mentioning
    from crm_core.cli.rotation import fresh_secret

    roster = config / "keys.yaml"
    known = perform(config, "tenant.creatable", tenants=names)["known"]
    added = add_tenants(roster, {name: fresh_secret() for name in names if name not in known})
    with mentioning(f"{roster} has an entry for each name already") if added else nullcontext():
        for item in stream(config, "tenant.create", tenants=names):
            tenant = item["tenant"]
            if tenant in known:  # in place of one whose folder was moved away
                added += add_tenants(roster, {tenant: fresh_secret()})
            if show:
                click.echo(f"created tenant {tenant}")
                if tenant in added:
                    click.echo(f"added {tenant} to {roster} with a fresh key, version 1; give it to the platform")
    return added


@command.command("remove", short_help="Remove a tenant, after a backup.")
@click.argument("name")
@click.option("--no-backup", is_flag=True, help="Make no backup first. All data of the tenant is lost.")
@click.option("--yes", is_flag=True, help="Do not ask. Required if there is no terminal.")
@result_options
def remove(*, name: str, no_backup: bool, yes: bool, config: Path, as_json: bool) -> None:
    """Remove a tenant with its entry in keys.yaml, after a backup into `backups` next to tenants_dir."""
    from crm_core.cli.roster_edit import mentioning, remove_tenant, require_editable

    roster = config / "keys.yaml"
    require_editable(roster)
    there = _is_there(config, name)  # an unknown one needs no question
    if not yes:
        if not has_terminal():
            raise click.UsageError("add --yes: there is no terminal to ask")
        click.confirm(f"Remove {name}" + (" without a backup?" if no_backup else "?"), abort=True, err=True)
    backup = _backup_file(config, name) if there and not no_backup else None
    done: dict[str, object] = {"tenant": name, "backup": None}
    if there:
        (done,) = stream(config, "tenant.remove", tenant=name, backup=None if backup is None else str(backup))
    with mentioning(f"the tenant {name} is removed, but its entry is not"):
        entry = remove_tenant(roster, name)
    what = f"tenant {name}" + (f" and its entry in {roster}" if entry else "")
    lines = [f"removed {what}" if there else f"removed the entry of {name} in {roster}; the tenant was removed before"]
    if backup is not None:
        lines.append(f"its backup is {backup}; crm tenant restore {name} FILE brings it back, without its keys")
    print_result(done, *lines, as_json=as_json)


def _is_there(config: Path, name: str) -> bool:
    """False: an interrupted removal left only the tenant's entry in the roster. Raises UnknownTenant, SetupError."""
    from crm_core.cli.roster_edit import has_entry
    from crm_core.commands.store import interrupted_removal

    try:
        perform(config, "tenant.state", tenant=name)
    except UnknownTenant:
        stored = [each["tenant"] for each in perform(config, "tenant.list")["tenants"]]
        if left := interrupted_removal(name, stored):
            raise SetupError([f"{name}: {left}; then remove it again"]) from None
        if not has_entry(config / "keys.yaml", name):
            raise
        return False
    return True


def _backup_file(config: Path, name: str) -> Path:
    """A new file in the folder `backups`. Raises SetupError."""
    from crm_core.settings.instance import load_instance_outline

    folder = load_instance_outline(config / "instance.yaml").tenants_dir.absolute().parent / "backups"
    return folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.backup"


@command.command("list")
@result_options
def names(*, config: Path, as_json: bool) -> None:
    """List the tenants and the state of their stores."""
    tenants = perform(config, "tenant.list")["tenants"]
    print_list(tenants, _show, "There are no tenants yet; crm tenant create NAME creates one.", as_json=as_json)


def _show(tenant: dict[str, Any]) -> None:
    click.echo(f"{tenant['tenant']}  {tenant['mode']}" + (f"  {tenant['reason']}" if tenant["reason"] else ""))


@command.command("show")
@click.argument("name")
@result_options
def show(*, name: str, config: Path, as_json: bool) -> None:
    """Show a tenant's sections, modules and log head."""
    status = perform(config, "tenant.show", tenant=name)
    if as_json:
        print_json(status)
        return
    click.echo(f"{status['tenant']}: revision {status['revision']}, store {status['mode']}")
    if status["reason"]:
        click.echo(f"  {status['reason']}")
    for section, summary in status["sections"].items():
        numbers = f"version {summary['version']}, revision {summary['revision']}"
        click.echo(f"  {section}: {numbers}, applied {summary['applied_at']}")
    if not status["sections"]:
        click.echo("  no pushes yet")
    modules = ", ".join(f"{name} {state}" for name, state in status["modules"].items())
    click.echo(f"  modules: {modules}")
    click.echo(f"  log head: {status['log_head']['seq']}:{status['log_head']['hash']}")


@command.command("reset-version", short_help="Accept any version for a section again.")
@click.argument("name")
@click.argument("section")
@result_options
def reset_version(*, name: str, section: str, config: Path, as_json: bool) -> None:
    """Accept any version for SECTION again, after a platform pushed one that is too high by mistake.

    Nothing else changes. If a huge version was pushed with a leaked key, revoke that key instead.
    """
    done = perform(config, "tenant.reset-version", tenant=name, section=section)
    text = f"{name}: {section} accepts any version again; the highest was {done['was']}"
    print_result(done, text, as_json=as_json)


@command.command("fold", short_help="Fold journals into TinyDB files now.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@result_options
def fold(*, names: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Fold the journals of the named tenants, or of all, into their TinyDB files now.

    The server does this itself when a journal has grown long. Afterwards TinyDB itself can read every record. On
    PostgreSQL: drop log entries that are past their days.
    """
    folded = []
    for item in stream(config, "store.fold", tenants=list(names)):
        refused = item["refused"] or None
        folded.append({**item, "refused": refused})
        if not as_json:
            outcome = f"not folded: {refused}" if refused else "folded"
            click.echo(f"{item['tenant']}  {outcome}", err=bool(refused))
    if as_json:
        print_json(folded)
    if any(item["refused"] for item in folded):
        raise SystemExit(1)


@command.command("backup", short_help="Copy a tenant to a new file.")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@result_options
def backup(*, name: str, file: Path, config: Path, as_json: bool) -> None:
    """Write a consistent copy of a tenant with its log to a new FILE, while a running server continues to write.

    The file contains personal data, password hashes, and secrets encrypted with the instance's secret_key: also keep a
    copy of that key, in another place.
    """
    target = file.absolute()
    warn_of_quarantine(config, name)
    (done,) = stream(config, "store.backup", tenant=name, target=str(target))
    if not target.exists():
        problem = f"the server wrote {file}, which is not here: it sees other folders (PrivateTmp, a container)"
        raise SetupError([f"{problem}; name a file in a folder that both see"])
    size = target.stat().st_size
    text = f"{size / (1 << 20):,.1f} MiB" if size >= 1 << 20 else f"{size / 1024:,.1f} KiB"
    print_result({**done, "bytes": size}, f"{name}: copied to {file} ({text})", as_json=as_json)


@command.command("restore", short_help="Create a tenant from a backup.")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@result_options
def restore(*, name: str, file: Path, config: Path, as_json: bool) -> None:
    """Create the tenant NAME from a backup.

    If the tenant exists, move its folder away first, or rename it with crm tenant move if the store is a database. A
    running server can stay up. A backup of a tenant with another name brings its users, but neither its API tokens nor
    its sessions.
    """
    (done,) = stream(config, "store.restore", tenant=name, source=str(file.absolute()))
    done["in_roster"] = _is_in_roster(config, name)
    print_result(done, f"{name}: restored from {file} at revision {done['revision']}", as_json=as_json)
    if done["access_ended"]:
        click.echo("it has no API tokens: the backup does not say that its tokens are of this tenant", err=True)


@command.command("move", short_help="Rename a tenant.")
@click.argument("name")
@click.argument("new")
@result_options
def move(*, name: str, new: str, config: Path, as_json: bool) -> None:
    """Rename the tenant NAME to NEW, with its records, users, tokens, history, log and entry in keys.yaml.

    If it is interrupted, run it again: it does what is left.
    URLs and signatures contain the name: platforms and clients must use the new one from then on.
    """
    from crm_core.cli.roster_edit import mentioning, rename_tenant, require_editable

    roster = config / "keys.yaml"
    require_editable(roster)
    done = perform(config, "store.move", tenant=name, name=new)
    with mentioning(f"the tenant is {new} now, but its entry is not"):
        renamed = rename_tenant(roster, name, new)
    done["in_roster"] = _is_in_roster(config, new)
    print_result(done, f"{name} is now {new}" + (f", with its entry in {roster}" if renamed else ""), as_json=as_json)
    if not done["access_stays"]:
        text = "its API tokens are refused. If it accepts no writes now, move it back and again once it does"
        click.echo(f"{text}; those of another tenant, whose backup it came from, stay refused", err=True)


def _is_in_roster(config: Path, name: str) -> bool:
    """Whether the roster, as it is now, has an entry of a tenant. Warn that one without accepts no pushes."""
    from crm_core.cli.roster_edit import has_entry

    there = False
    with suppress(SetupError):  # keys.yaml cannot be read, which is no part of this command
        there = has_entry(config / "keys.yaml", name)
    if not there:
        advice = f"create a key with crm keys rotate {name}, or rename the entry of the tenant that it replaces"
        click.echo(f"{config / 'keys.yaml'} has no entry for {name}, so it accepts no pushes: {advice}.", err=True)
    return there

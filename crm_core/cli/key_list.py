"""``crm keys list``: the keys of keys.yaml with state, dates, limits and use."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from crm_core.cli.config_folder import read_outline, read_roster, registry_of
from crm_core.cli.rotation import roster_time
from crm_core.cli.running import perform, print_list, result_options
from crm_core.errors import CrmError, SetupError
from crm_core.model.keys import Key, Roster
from crm_core.settings.places import hint


@click.command("list", short_help="List keys with state, dates, limits and use.")
@click.argument("tenant", required=False)
@result_options
def command(*, tenant: str | None, config: Path, as_json: bool) -> None:
    """List the keys of TENANT, or of all tenants, with state, dates, limits and use.

    Last use and count come from the sync log: when the old key of a rotation is no longer used, you can remove it.
    """
    path, registry = config / "keys.yaml", registry_of(config)
    now = datetime.now(UTC)
    try:
        roster, known = read_roster(path, registry), True
    except SetupError:
        roster, known = read_outline(path, registry), False  # a secret that cannot be read here; `check` reports it
    if tenant is not None and tenant not in roster.tenants:
        raise no_entry(tenant, roster)
    names = [name for name in sorted(roster.tenants) if tenant in (None, name)]
    uses = _uses(config, names)
    rows = [
        {"tenant": name, **_row(key, now, known=known), **_use(uses, name, key)}
        for name in names
        for _, key in sorted(roster.tenants[name].keys.items(), reverse=True)
    ]
    print_list(rows, _show, "There are no keys; crm keys rotate TENANT creates one.", as_json=as_json)


def no_entry(tenant: str, roster: Roster) -> SetupError:
    """That keys.yaml does not have the tenant, with the nearest name that it has."""
    advice = hint(tenant, roster.tenants) if roster.tenants else f"crm keys rotate {tenant} creates one"
    return SetupError([f"keys.yaml has no entry for {tenant}; {advice}"])


def if_available(config: Path, subject: str, name: str, **arguments: Any) -> dict[str, Any] | None:
    """The result of a command on the stores; None if they cannot be read, with a warning: ``subject`` is unknown."""
    try:
        return perform(config, name, **arguments)
    except (SetupError, CrmError) as error:
        click.echo(f"{subject} is unknown: {str(error).splitlines()[0]}", err=True)
        return None


def _uses(config: Path, tenants: list[str]) -> dict[str, Any] | None:
    """Uses by tenant and key version; None for a tenant whose log is incomplete, with a warning."""
    uses = if_available(config, "last use", "keys.uses", tenants=tenants)
    for tenant in sorted(name for name, use in (uses or {}).items() if use is None):
        click.echo(f"{tenant}: last use is unknown, because its log is incomplete; see crm doctor {tenant}", err=True)
    return uses


def _use(uses: dict[str, Any] | None, tenant: str, key: Key) -> dict[str, Any]:
    of_tenant = None if uses is None else uses.get(tenant, {})
    if of_tenant is None:
        return {"last_used_at": None, "uses": None}
    return dict(of_tenant.get(str(key.version), {"last_used_at": None, "uses": 0}))


def _row(key: Key, now: datetime, *, known: bool) -> dict[str, Any]:
    """A key as in health; the fingerprint is null if the secret cannot be read here."""
    return {
        "key_version": key.version,
        "state": key.state(now),
        "not_before": roster_time(key.not_before) if key.not_before else None,
        "not_after": roster_time(key.not_after) if key.not_after else None,
        "fingerprint": key.fingerprint if known else None,
        "kind": key.kind,
        "schemes": sorted(key.schemes) if key.schemes is not None else None,
        "types": sorted(key.types) if key.types is not None else None,
        "sources": [str(network) for network in key.sources] if key.sources is not None else None,
    }


def _show(row: dict[str, Any]) -> None:
    parts = [row["tenant"], f"version {row['key_version']}", row["state"]]
    for member, word in (("not_before", "from"), ("not_after", "until")):
        if row[member] and row["state"] != "revoked":
            parts.append(f"{word} {row[member]}")
    if row["uses"] is not None:
        times = "once" if row["uses"] == 1 else f"{row['uses']} times"
        parts.append(f"used {times}, last {row['last_used_at']}" if row["uses"] else "not used yet")
    word = "secret" if row["kind"] == "secret" else "public key"
    parts.append(row["fingerprint"] or f"its {word} cannot be read here")
    if word != "secret":
        parts.append(word)
    parts += [f"{member}: {', '.join(row[member])}" for member in ("types", "sources", "schemes") if row[member]]
    click.echo("  ".join(parts))

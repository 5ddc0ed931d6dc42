"""``crm keys``: the signing keys in keys.yaml."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import click

from crm_core.cli import key_list
from crm_core.cli.config_folder import as_readable, key_of, read_outline, read_roster, registry_of
from crm_core.cli.groups import CommandGroup, Number
from crm_core.cli.key_list import if_available, no_entry
from crm_core.cli.roster_edit import edit_roster, set_member
from crm_core.cli.rotation import Rotation, fresh_secret, roster_time
from crm_core.cli.running import print_json, print_result, result_options
from crm_core.model.ed25519 import new_private_key, public_key_of
from crm_core.model.keys import KeyKind, Roster
from crm_core.settings.document import Scalar
from crm_core.settings.key_pairs import written_private_key, written_public_key
from crm_core.settings.places import Place, Wrong
from crm_core.settings.reading import duration

_SOON = timedelta(days=7)  # how long before its end a tenant's only key is a warning
REVOKE = "revoke"


@click.group("keys", cls=CommandGroup)
def command() -> None:
    """Generate, rotate, revoke, list and check the keys in keys.yaml."""


command.add_command(key_list.command)


@command.command("generate", short_help="Print a fresh secret, or a key pair.")
@click.option(
    "--form",
    type=click.Choice(["base64", "hex", "whsec"]),
    help="The form of the secret. [default: base64]",
)
@click.option("--ed25519", "pair", is_flag=True, help="Print an Ed25519 key pair instead of a secret.")
@result_options
def generate(
    *,
    form: Literal["base64", "hex", "whsec"] | None,
    pair: bool,
    config: Path,  # noqa: ARG001 -- every command takes it
    as_json: bool,
) -> None:
    """Print a fresh secret of 32 random bytes, as keys.yaml and instance.yaml accept it.

    With --ed25519 print a fresh key pair: the private key is for the platform alone, keys.yaml has the public one.
    """
    if pair and form is not None:
        raise click.UsageError("--form is for secrets; remove it, or --ed25519")
    if not pair:
        secret = fresh_secret(form or "base64")
        print_result({"secret": secret}, secret, as_json=as_json)
        return
    private = new_private_key()
    made = {"private": written_private_key(private), "public": written_public_key(public_key_of(private))}
    print_result(made, *(f"{half}: {text}" for half, text in made.items()), as_json=as_json)


def _overlap(_ctx: click.Context, _parameter: click.Parameter, text: str) -> timedelta | None:
    """How long earlier keys stay active; None: they are revoked."""
    if text == REVOKE:
        return None
    try:
        return duration(Scalar(Place("--overlap", 1, 1), text))
    except Wrong:
        raise click.BadParameter(f"enter a length of time such as 24h or 30m, or {REVOKE}") from None


@command.command("rotate", short_help="Add a key of the next version.")
@click.argument("tenant", required=False)
@click.option(
    "--overlap",
    callback=_overlap,
    default="24h",
    show_default=True,
    help=f"How long earlier keys stay active, or {REVOKE}.",
)
@click.option("--secret", metavar="REF", help="The new key's secret, such as env:NAME. [default: a fresh one]")
@click.option("--public", metavar="REF", help="The new key is a public key, such as ed25519:BASE64 or file:PEM.")
@click.option("--force", is_flag=True, help="Rotate even during the overlap of an earlier rotation.")
@result_options
def rotate(
    *,
    tenant: str | None,
    overlap: timedelta | None,
    secret: str | None,
    public: str | None,
    force: bool,
    config: Path,
    as_json: bool,
) -> None:
    """Add a key of the next version for TENANT (required if keys.yaml has several).

    Earlier keys stay active until the overlap ends, so that the platform can switch without a lost push. With --overlap
    revoke they end now and count as leaked: versions pushed with them no longer count. The new key has the limits
    (types, sources, schemes) of the newest one. The rest of keys.yaml stays as it is. With --public the platform signs
    with a private key that it never gives away; limits to schemes that verify no public key are left out.
    """
    if secret is not None and public is not None:
        raise click.UsageError("add either --secret or --public")
    kind: KeyKind = "secret" if public is None else "public"
    path, registry = config / "keys.yaml", registry_of(config)
    done: list[Rotation] = []

    def change(text: str) -> str:
        roster = read_outline(path, registry)
        name = _one_tenant(roster, tenant)
        now = datetime.now(UTC).replace(microsecond=0)
        entry = roster.tenants.get(name)
        used = 0 if entry and entry.keys else _highest_used(config, name)
        schemes = [name for name, scheme in registry.schemes.items() if kind in scheme.KEY_KINDS]
        rotation = Rotation(name, entry, public or secret or fresh_secret(), overlap, now, schemes, kind, used)
        rotation.refuse_unusable()
        if not force:
            rotation.refuse_open_overlap()
        done.append(rotation)
        return rotation.apply(text)

    edit_roster(path, change, check=as_readable(path, registry))
    (rotation,) = done
    print_result(rotation.to_json(), *_described(rotation, path), as_json=as_json)
    if rotation.entry is None and rotation.tenant not in _tenants(config, "whether the tenant exists", rotation.tenant):
        click.echo(
            f"{rotation.tenant}: this entry is new, and there is no such tenant yet; "
            f"crm tenant create {rotation.tenant} creates it. If the name is mistyped, remove the entry from {path}",
            err=True,
        )


def _described(rotation: Rotation, path: Path) -> Iterator[str]:
    hint = "give its secret to the platform" if rotation.kind == "secret" else "the platform signs with its private key"
    yield f"{rotation.tenant}: added key version {rotation.version} to {path}; {hint}"
    if rotation.follows is not None and rotation.limits:
        text = "; ".join(f"{name}: {', '.join(values)}" for name, values in rotation.limits.items())
        yield f"{rotation.tenant}: it has the limits of key version {rotation.follows.version} ({text})"
    for ending in rotation.endings():
        yield f"{rotation.tenant}: key version {ending.version} {ending.words}"


@command.command("revoke", short_help="Mark a key as leaked.")
@click.argument("tenant")
@click.argument("version", type=Number(1))
@result_options
def revoke(*, tenant: str, version: int, config: Path, as_json: bool) -> None:
    """Mark key VERSION of TENANT as leaked: it ends now, and versions pushed with it no longer count.

    To retire a key that has not leaked, give it a not_after instead (crm keys rotate writes one).
    """
    path, registry = config / "keys.yaml", registry_of(config)
    roster = read_outline(path, registry)
    if tenant not in roster.tenants:
        raise no_entry(tenant, roster)
    key_of(roster.tenants[tenant], tenant, version)
    set_member(path, tenant, version, "revoked", "true")
    active = read_outline(path, registry).tenants[tenant].active(datetime.now(UTC))
    done = {"tenant": tenant, "key_version": version, "revoked": True, "active": [key.version for key in active]}
    text = f"{tenant}: key version {version} is revoked; versions pushed with it no longer count"
    print_result(done, text, as_json=as_json)
    if not active:
        click.echo(f"{tenant} now has no active key; crm keys rotate {tenant} creates one", err=True)


def _highest_used(config: Path, tenant: str) -> int:
    """The highest key version in the sync log, for a tenant that has none in the roster; 0 if there is none."""
    uses = if_available(config, "which key versions were used", "keys.uses", tenants=[tenant]) or {}
    if uses.get(tenant, {}) is None:
        click.echo(f"{tenant}: its log is incomplete, so this key version may have been used before", err=True)
    return max(map(int, uses.get(tenant) or ()), default=0)


@command.command("check", short_help="Report problems, and keys that end soon.")
@result_options
def check(*, config: Path, as_json: bool) -> None:
    """Report problems in keys.yaml, keys that end soon and tenants without one; exit 1 if a tenant cannot push."""
    path, registry = config / "keys.yaml", registry_of(config)
    roster = read_roster(path, registry)
    now = datetime.now(UTC)
    warnings = [*_warnings(roster, path, now), *_without_entry(config, roster)]
    problems = without_active_key(roster, now)
    tenants, keys = len(roster.tenants), sum(len(entry.keys) for entry in roster.tenants.values())
    if as_json:
        print_json({"tenants": tenants, "keys": keys, "warnings": warnings, "problems": problems})
    for line in () if as_json else (*warnings, *problems):
        click.echo(line, err=True)
    if problems:
        raise SystemExit(1)
    if not as_json:
        click.echo(f"{path}: {_counted(tenants, 'tenant')}, {_counted(keys, 'key')}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def without_active_key(roster: Roster, now: datetime, names: Collection[str] = ()) -> list[str]:
    """A line for each tenant, of ``names`` if there are any, that should accept pushes and has no key for them."""
    return [
        f"{name} has no active key and accepts no pushes; crm keys rotate {name} creates one"
        for name, entry in sorted(roster.tenants.items())
        if entry.enabled and not entry.active(now) and (name in names or not names)
    ]


def _warnings(roster: Roster, path: Path, now: datetime) -> Iterator[str]:
    """Warnings: permissions, and keys that end soon."""
    if path.stat().st_mode & 0o007:
        yield f"{path} can be read by other users of this machine; chmod 0600 {path}"
    for name, entry in sorted(roster.tenants.items()):
        active = entry.active(now)
        if len(active) == 1 and active[0].not_after is not None and active[0].not_after < now + _SOON:
            end = roster_time(active[0].not_after)
            yield f"{name}: its only active key, version {active[0].version}, ends {end}; rotate it before then"


def _without_entry(config: Path, roster: Roster) -> Iterator[str]:
    """A line for each tenant without an entry in keys.yaml, which may be intended."""
    for name in _tenants(config, "which tenants have no entry"):
        if name not in roster.tenants:
            yield f"{name} has no entry in keys.yaml, so its receiver is disabled; crm keys rotate {name} creates a key"


def _tenants(config: Path, subject: str, *otherwise: str) -> list[str]:
    """The tenants that exist, or ``otherwise`` if the stores cannot be read, with a warning: ``subject`` is unknown."""
    listed = if_available(config, subject, "tenant.list")
    return list(otherwise) if listed is None else [tenant["tenant"] for tenant in listed["tenants"]]


def _one_tenant(roster: Roster, name: str | None) -> str:
    from crm_core.model.names import is_name

    if name is not None:
        if not is_name(name):
            raise click.UsageError(f"{name!a} cannot name a tenant")
        return name
    if len(roster.tenants) == 1:
        return next(iter(roster.tenants))
    raise click.UsageError("add TENANT: keys.yaml has " + (", ".join(sorted(roster.tenants)[:10]) or "none"))

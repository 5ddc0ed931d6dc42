"""``crm init``: the commented files of a new instance."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from crm_core.cli.running import config_option, perform
from crm_core.errors import SetupError
from crm_core.model.names import is_name


@click.command("init")
@config_option
@click.option("--instance", required=True, help="The instance's code, such as eu1; it is part of every URL.")
@click.option("--tenant", help="Also create this tenant.")
@click.option(
    "--admin",
    metavar="EMAIL",
    help="With --tenant: also create its first user, a super admin, and print their password.",
)
def command(config: Path, instance: str, tenant: str | None, admin: str | None) -> None:
    """Write commented instance.yaml, keys.yaml, modules.yaml and roles.yaml. Existing files stay as they are."""
    from crm_core.settings.examples import OF_INSTANCE

    for option, name in (("--instance", instance), ("--tenant", tenant)):
        if name is not None and not is_name(name):
            raise click.UsageError(f"{option} must be 1 to 63 of a-z, 0-9 and -, and cannot start or end with -")
    if admin and not tenant:
        raise click.UsageError("--admin needs --tenant")
    if admin is not None:
        _refuse_unusable(admin)
    if found := _other(config, instance):
        _point_out(config, found, creating=tenant is not None)
    written = write_files(config, instance)
    for name in OF_INSTANCE:
        click.echo(
            f"wrote {config / name}" if name in written else f"{config / name} exists already and stays as it is"
        )
    if tenant is not None:
        from crm_core.cli.tenant import create_tenants

        if tenant in (each["tenant"] for each in perform(config, "tenant.list")["tenants"]):
            click.echo(f"tenant {tenant} exists already and stays as it is")
        else:
            create_tenants(config, [tenant])
    if tenant is not None and admin is not None:
        from crm_core.cli.user import create_first

        create_first(config, tenant, admin)
    if tenant is None:
        click.echo(
            "Next: set CRM_SECRET_KEY (crm keys generate prints one), then run crm tenant create NAME and crm serve."
        )


def _refuse_unusable(email: str) -> None:
    """Refuse an address that no user can have, before anything is written. Raises UsageError."""
    from crm_core.model.fields import convert
    from crm_core.model.text_types import Email

    if convert(email, Email)[1]:
        raise click.UsageError("--admin must be an email address such as info@example.com")


def _other(config: Path, instance: str) -> str | None:
    """The instance of a folder whose files are those of another one."""
    from crm_core.settings.reading import Members, read_file, text

    found = instance
    with suppress(SetupError):  # there is no file, or crm config check says what is wrong with it
        found = read_file(config / "instance.yaml", lambda node: Members(node).get("instance", text, instance))
    return found if found != instance and is_name(found) else None


def _point_out(config: Path, found: str, *, creating: bool) -> None:
    """Say that a folder is another instance's. Raises SetupError, before anything is written, if a tenant is wanted."""
    is_other = f"{config / 'instance.yaml'} is that of another instance, {found}"
    advice = f"name another folder with --config, or write --instance {found}"
    if creating:
        raise SetupError([f"{is_other}, so nothing was written; {advice}"])
    click.echo(f"warning: {is_other}, and stays; {advice}", err=True)


def write_files(config: Path, instance: str) -> list[str]:
    """Write the missing files (0600, the folder 0700) and return their names. Raises SetupError."""
    from crm_core.settings.examples import OF_INSTANCE, example

    try:
        config.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [name for name in OF_INSTANCE if _write(config / name, example(name, instance=instance))]
    except OSError as error:
        raise SetupError([f"{config} cannot be written: {error.strerror}; check path and permissions"]) from None


def _write(path: Path, text: str) -> bool:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if not path.is_file() or path.stat().st_size:
            return False
        handle = os.open(path, os.O_WRONLY)  # left by an init that was killed; it would not load
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        path.unlink()  # a part of it would stay for good, as an existing file
        raise
    return True

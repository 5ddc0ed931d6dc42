"""Shared by commands: options, exit codes, and calls to a tenants folder that a server may have locked."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from crm_core.cli.output import OutputFailed, exit_without_output, waiting_shown
from crm_core.errors import CrmError, SetupError, UnknownTenant

if TYPE_CHECKING:
    from crm_core.settings.installation import Installation

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_NO_TENANT = "Unknown tenant; crm tenant list shows the tenants."


def _reachable(_ctx: click.Context, _option: click.Parameter, folder: Path) -> Path:
    """Refuse a folder that this user may not look for or into; a missing one is an error of its files."""
    try:
        os.stat(f"{folder}/.")  # noqa: PTH116 -- pathlib drops the dot, and the files in it are found this way
    except PermissionError:
        raise click.BadParameter(f"{folder} cannot be reached by this user; run crm as the server's user") from None
    except OSError:
        pass
    return folder


def config_option(command: F) -> F:
    """``--config DIR``, as the argument ``config``: every command takes it."""
    return click.option(
        "--config",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False, readable=False),
        default=Path("config"),
        envvar="CRM_CONFIG",
        callback=_reachable,
        show_default=True,
        help="The config folder (or CRM_CONFIG).",
    )(command)


def result_options(command: F) -> F:
    """``--config DIR`` and ``--json``, as the arguments ``config`` and ``as_json``, of a command with a result."""
    return config_option(click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command))


def tenant_option(command: F) -> F:
    """``--tenant NAME``, required, as the argument ``tenant``."""
    return click.option("--tenant", required=True, help="The tenant's name.")(command)


def ignore_hangup() -> None:
    """Ignore SIGHUP while a server starts and stops: it would end the process, and a service manager leave it so."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def boundary() -> Iterator[None]:
    """Turn our errors, and those of writing to standard output, into text on standard error and exit code 1."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputFailed as failed:
        exit_without_output(failed)
    except SetupError as error:
        print_problem({"problems": list(error.problems)})
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SystemExit(1) from None
    except CrmError as error:
        detail = _NO_TENANT if isinstance(error, UnknownTenant) else error.operator_detail
        print_problem({"code": error.code, "detail": detail, "errors": msgspec.to_builtins(error.errors)})
        click.echo(f"{detail} ({error.code})", err=True)
        for finding in error.errors:
            click.echo(f"  {finding.pointer or '/'}: {finding.message}", err=True)
        raise SystemExit(1) from None


def print_problem(problem: dict[str, Any]) -> None:
    """Print an error as JSON too with --json, so that programs always get a document."""
    if "--json" in sys.argv:
        try:
            print_json(problem)
        except OutputFailed as failed:
            exit_without_output(failed)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_result(document: object, *lines: str, as_json: bool) -> None:
    """Print a result as JSON, or as lines of text."""
    if as_json:
        print_json(document)
    else:
        click.echo("\n".join(lines))


def print_list(items: list[T], show: Callable[[T], object], none: str, *, as_json: bool) -> None:
    """Print a list as JSON, or with ``show`` for each item; ``none`` says on standard error that it is empty."""
    if as_json:
        print_json(items)
        return
    for item in items:
        show(item)
    if not items:
        click.echo(none, err=True)


@contextmanager
def without_collector() -> Iterator[None]:
    """Pause the garbage collector while modules are loaded, which leave no garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def perform(config: Path, name: str, /, **arguments: Any) -> dict[str, Any]:
    """Run a command of ``crm_core.commands`` in the running server, or here if none runs, and return its result.

    Raises the command's errors, and SetupError if instance.yaml or the tenants folder cannot be used.
    """
    (result,) = _items(config, name, arguments, streams=False)
    return result


def stream(config: Path, name: str, /, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Run a command that returns a stream of items, as ``perform`` does."""
    return _items(config, name, arguments, streams=True)


def warn_of_quarantine(config: Path, tenant: str) -> None:
    """Warn on standard error that a tenant in quarantine shows only the data that is left."""
    state = perform(config, "tenant.state", tenant=tenant)
    if state["mode"] == "quarantined":
        click.echo(f"{tenant} is in quarantine; this is only the data that is left. {state['reason']}", err=True)


def _items(config: Path, name: str, arguments: dict[str, Any], *, streams: bool) -> Iterator[dict[str, Any]]:
    _refuse_other_encodings(arguments)
    with without_collector():
        from crm_core.control import client
        from crm_core.control.lock import FolderBusy
        from crm_core.control.turn import patient_lock
        from crm_core.settings.installation import install

        installation = install(config, os.environ)
    folder = installation.settings.tenants_dir
    if not installation.registry.backends[installation.settings.storage.backend].EXCLUSIVE:
        yield from _here(installation, name, arguments)
        return
    try:
        with patient_lock(folder):
            yield from _here(installation, name, arguments)
    except FolderBusy as busy:
        if not client.is_served(folder):
            owner = "another process" if busy.pid is None else f"the process with pid {busy.pid}"
            problem = f"{folder} is in use by {owner}, which answers no commands"
            advice = "wait for it if it is another command; see its log if it is a server"
            raise SetupError([f"{problem}: {advice}"]) from None
        with waiting_shown(f"waiting for the server of {folder} ..."):
            items = client.stream(folder, name, arguments) if streams else iter([client.call(folder, name, arguments)])
            first = next(items, None)
        if first is not None:
            yield first
        yield from items


def _refuse_other_encodings(arguments: dict[str, Any]) -> None:
    """Raise SetupError for an argument that is not UTF-8, which neither the server nor a store could take."""
    try:
        msgspec.json.encode(arguments)
    except UnicodeEncodeError:  # it may be a password, so it is not repeated
        raise SetupError(["a word or the input of this command is not UTF-8; write it in UTF-8"]) from None


def _here(installation: Installation, name: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a command in this process, with the store open while its items are read."""
    from crm_core.commands import perform as command
    from crm_core.compose import clock, open_backend
    from crm_core.services import Services
    from crm_core.settings.configuration import ConfigurationOnDemand

    with asyncio.Runner() as runner:
        backend = runner.run(open_backend(installation, migrating=name == "store.migrate"))
        try:
            services = Services(installation, backend, ConfigurationOnDemand(installation, clock), clock)
            services.stop.set()  # nothing is served here: a stream ends at its last item
            result = runner.run(command(services, name, arguments))
            if isinstance(result, dict):
                yield result
                return
            while (item := runner.run(_next(result))) is not None:
                yield item
        finally:
            runner.run(backend.close())


async def _next(items: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    return await anext(items, None)

"""``crm serve``: one process that serves an instance, or several on a store that they can share."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crm_core.cli.groups import Number
from crm_core.cli.log_lines import set_up_logging
from crm_core.cli.output import discard_output
from crm_core.cli.running import boundary, config_option, ignore_hangup, without_collector
from crm_core.cli.store_alerts import log_store_alerts
from crm_core.errors import SetupError
from crm_core.server_log import ServerLog

if TYPE_CHECKING:
    from crm_core.cli.dev import Watch
    from crm_core.server.listen import Listener
    from crm_core.server.workers import Parent
    from crm_core.settings.configuration import Configuration
    from crm_core.settings.installation import Installation


@click.command("serve")
@click.option(
    "--processes",
    type=Number(1, 64),
    default=1,
    show_default=True,
    help="How many processes serve; several need a storage backend that they can share.",
)
@click.option(
    "--dev",
    is_flag=True,
    help="For work on plugins, on a loopback address: tracebacks in the terminal, a new start when a file changes.",
)
@config_option
def command(*, config: Path, processes: int, dev: bool) -> None:
    """Run the instance until SIGTERM, then finish open requests.

    Listens on the address that instance.yaml names, and prints it once it accepts requests. Edits of keys.yaml,
    modules.yaml and roles.yaml take effect within two seconds, or at SIGHUP.
    """
    ignore_hangup()
    if dev:
        if processes > 1:
            raise click.UsageError("--dev serves from one process; leave --processes out.")
        _serve_and_reload(config)
        return
    with without_collector():
        from crm_core.server.process import run
        from crm_core.settings.installation import install

        installation = install(config, os.environ)
    set_up_logging()
    if processes > 1:
        raise SystemExit(_serve_together(installation, processes))
    run(_serve(installation, str(installation.settings.listen), partial(_announce, installation)))


def _serve_and_reload(config: Path) -> None:
    """Serve until a file changes, then start again; what cannot be loaded waits for a change."""
    from crm_core.cli.dev import Watch, print_failure, refuse_unsafe
    from crm_core.server.process import run
    from crm_core.settings.installation import install

    watch = Watch(config)
    set_up_logging()
    try:
        installation = install(config, os.environ, print_failure)
    except SetupError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        watch.wait()
    else:
        refuse_unsafe(installation.settings)
        run(_serve(installation, str(installation.settings.listen), partial(_announce, installation), watch=watch))
    if watch.changed:
        watch.start_again()


def _serve_together(installation: Installation, processes: int) -> int:
    """Serve from several processes; the exit code."""
    storage = installation.settings.storage.backend
    if installation.registry.backends[storage].EXCLUSIVE:
        raise click.UsageError(
            f"--processes needs a storage backend that processes can share; {storage} belongs to one process."
        )
    with without_collector():  # loaded once, and shared by all
        from crm_core import compose  # noqa: F401
        from crm_core.metrics import share_metrics
        from crm_core.server.listen import bound
        from crm_core.server.process import run
        from crm_core.server.workers import WorkerProcesses
        from crm_core.web.pages import pages  # noqa: F401
    folder = Path(tempfile.mkdtemp(prefix="crm-metrics-"))

    def work(parent: Parent, listener: Listener) -> int:
        set_up_logging(parent.number)
        share_metrics(folder, parent.number)
        with boundary():
            run(_serve(installation, listener, lambda _address: parent.ready(), shared_metrics=folder))
        return 0

    try:
        listener = bound(str(installation.settings.listen))
        ready = f"{listener.address} from {processes} processes"
        return WorkerProcesses(processes, listener, work, lambda: _announce(installation, ready)).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _announce(installation: Installation, address: str) -> None:
    try:
        click.echo(f"crm {installation.settings.instance} serves {address} (pid {os.getpid()})")
    except OSError:  # standard output may be a file on a full disk, which stops no server
        discard_output()


async def _serve(
    installation: Installation,
    listen: str | Listener,
    ready: Callable[[str], None],
    *,
    shared_metrics: Path | None = None,
    watch: Watch | None = None,
) -> None:
    with without_collector():
        from crm_core.cli.store_check import check_store, check_store_later
        from crm_core.commands import perform
        from crm_core.compose import application, clock, open_store
        from crm_core.control.server import ControlServer
        from crm_core.control.turn import patient_lock
        from crm_core.plugin.watching import logged, watched
        from crm_core.server.process import EXIT_SECONDS
        from crm_core.server.serve import serve
        from crm_core.services import Services
        from crm_core.settings.configuration import Configuration

    settings = installation.settings
    exclusive = installation.registry.backends[settings.storage.backend].EXCLUSIVE
    async with AsyncExitStack() as stack:
        stack.enter_context(watched(installation.host.door, logged))
        if exclusive:
            stack.enter_context(patient_lock(settings.tenants_dir))
        configuration = Configuration(installation, clock)
        backend = await open_store(installation)
        stack.push_async_callback(backend.close)
        services = Services(installation, backend, configuration, clock)
        if exclusive:
            control = ControlServer(settings.tenants_dir, lambda name, arguments: perform(services, name, arguments))
            await control.start()
            stack.push_async_callback(control.close)
        checked = await check_store(services)
        checking = asyncio.create_task(check_store_later(services, checked=checked))
        works = [
            configuration.run(services.stop, changed=partial(_log_configuration, configuration)),
            log_store_alerts(backend, services.stop),
            services.tokens.uses.run(services.stop),
        ]
        works += [] if watch is None else [watch.run(services.stop)]
        if services.feeds.stored is not None:
            works.append(services.feeds.stored.run(services.stop))
        for work in works:
            stack.push_async_callback(_finished, _started(work), services.stop)
        with without_collector():
            app = application(services, shared_metrics)
        await serve(
            app,
            listen=listen,
            ready=ready,
            on_stop=services.stop.set,
            on_hangup=configuration.hurry,
            new_request_id=services.ids.new,
            instance=settings.instance,
            exit_seconds=EXIT_SECONDS,
            lifespan=app.serving(),
        )
        await checking


def _log_configuration(configuration: Configuration) -> None:
    log = ServerLog("crm.serve")
    for line in configuration.errors():
        log.warning("config_refused", problem=line)
    if not configuration.errors():
        log.info("config_loaded", generation=configuration.generation)


def _started(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    task.add_done_callback(log_failure)
    return task


def log_failure(task: asyncio.Task[None]) -> None:
    """Log a background task that failed: it is awaited only at the end."""
    if not task.cancelled() and (error := task.exception()) is not None:
        coroutine = getattr(task.get_coro(), "__qualname__", "")
        ServerLog("crm.serve").error("internal_error", error=type(error).__name__, at=coroutine)


async def _finished(work: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    await asyncio.wait({work})

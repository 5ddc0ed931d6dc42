"""``crm serve``: one process that serves an instance."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import click

from crm_core.cli.log_lines import set_up_logging
from crm_core.cli.output import discard_output
from crm_core.cli.running import config_option, without_collector
from crm_core.cli.store_alerts import log_store_alerts
from crm_core.server_log import ServerLog


@click.command("serve")
@config_option
def command(config: Path) -> None:
    """Run the instance until SIGTERM, then finish open requests.

    Prints one line with its address once it accepts requests. Edits of keys.yaml, modules.yaml and roles.yaml take
    effect within two seconds, or at SIGHUP.
    """
    with without_collector():
        from crm_core.server.process import run

    set_up_logging()
    run(_serve(config))


async def _serve(config: Path) -> None:
    with without_collector():
        from crm_core.commands import perform, tenant
        from crm_core.compose import application, clock, compose, open_backend
        from crm_core.control.lock import FolderLock
        from crm_core.control.server import ControlServer
        from crm_core.server.process import EXIT_SECONDS
        from crm_core.server.serve import serve
        from crm_core.settings.installation import install, watched

        installation = install(config, os.environ)
    settings = installation.settings
    exclusive = installation.registry.backends[settings.storage.backend].EXCLUSIVE
    async with AsyncExitStack() as stack:
        if exclusive:
            lock = FolderLock(settings.tenants_dir).acquire()
            stack.callback(lock.release)
        configuration = watched(installation, clock)
        backend = await open_backend(installation)
        stack.push_async_callback(backend.close)
        services = compose(installation, backend, configuration)
        if exclusive:
            control = ControlServer(settings.tenants_dir, lambda name, arguments: perform(services, name, arguments))
            await control.start()
            stack.push_async_callback(control.close)
        log = ServerLog("crm.serve")

        for line in (await tenant.unstored(services))["warnings"]:
            log.warning("tenant_missing", problem=line)

        def log_configuration() -> None:
            for line in configuration.errors():
                log.warning("config_refused", problem=line)
            if not configuration.errors():
                log.info("config_loaded", generation=configuration.generation)

        for work in (
            configuration.run(services.stop, changed=log_configuration),
            log_store_alerts(backend, services.stop),
            services.tokens.uses.run(services.stop),
        ):
            stack.push_async_callback(_finished, asyncio.create_task(work), services.stop)

        def ready(address: str) -> None:
            try:
                click.echo(f"crm {settings.instance} serves {address} (pid {os.getpid()})")
            except OSError:  # standard output may be a file on a full disk, which stops no server
                discard_output()

        with without_collector():
            app = application(services)
        await serve(
            app,
            listen=str(settings.listen),
            ready=ready,
            on_stop=services.stop.set,
            on_hangup=configuration.hurry,
            new_request_id=services.ids.new,
            instance=settings.instance,
            exit_seconds=EXIT_SECONDS,
        )


async def _finished(work: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    await asyncio.wait({work})

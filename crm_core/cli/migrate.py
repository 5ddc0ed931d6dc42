"""``crm migrate``: bring stored data into this version's form, or all tenants to another storage backend."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import click

from crm_core.cli.output import show_progress
from crm_core.cli.running import perform, print_result, result_options, without_collector
from crm_core.errors import SetupError


@click.command("migrate")
@click.option("--to", "target", metavar="BACKEND", help="Copy all tenants to this backend of storage.others.")
@result_options
def command(*, target: str | None, config: Path, as_json: bool) -> None:
    """Bring stored data into this version's form, or copy all tenants to another backend. Make backups first.

    --to works while no server runs. Each copy is compared with its source: counts, hashes, and the log's chain. If it
    is interrupted, the source is as it was; run the command again to continue. In the end the source is marked and no
    longer served: set storage.backend to the new one, with its options.
    """
    if target is not None:
        asyncio.run(_copy(config, target, as_json=as_json))
        return
    done = perform(config, "store.migrate")["done"]
    lines = done or ["Nothing to do: everything stored has this version's format."]
    print_result({"done": done}, *lines, as_json=as_json)


async def _copy(config: Path, name: str, *, as_json: bool) -> None:
    with without_collector():
        from crm_core.commands.copying import copy_all
        from crm_core.compose import open_stores
        from crm_core.control.turn import patient_lock
        from crm_core.settings.installation import install
        from crm_core.settings.instance import unknown_backend

        installation = install(config, os.environ)
    storage = installation.settings.storage
    if name == storage.backend:
        raise SetupError([f"storage.backend in {config / 'instance.yaml'} is {name} already: there is nothing to copy"])
    if name not in storage.others:
        if name not in installation.registry.backends:
            raise SetupError([unknown_backend(name, installation.registry.backends)])
        problem = f"storage.others in {config / 'instance.yaml'} has no {name}"
        raise SetupError([f"{problem}; add it: storage: {{backend: {storage.backend}, others: {{{name}: {{...}}}}}}"])
    total, number = Counter[str](), 0
    with patient_lock(installation.settings.tenants_dir):
        async with open_stores(installation, storage, storage.others[name]) as (source, target):
            async for item in copy_all(source, target):
                number += 1
                show_progress(number, item["of"])
                total.update(item["counts"])
    kinds = ("tenants", "documents", "claims", "entries", "changes")
    counts = ", ".join(f"{kind} {total[kind]:,}" for kind in kinds)
    options = ", ".join(storage.others[name].options)
    moved = f", and move {options} from storage.others next to it" if options else ""
    print_result(
        {"from": storage.backend, "to": name, "counts": {kind: total[kind] for kind in kinds}},
        f"Copied from {storage.backend} to {name} and compared: {counts}.",
        f"Set storage.backend to {name} in {config / 'instance.yaml'}{moved}.",
        f"{storage.backend} is no longer served.",
        as_json=as_json,
    )

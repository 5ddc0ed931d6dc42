"""No callback occupies the event loop: every path, with a large tenant behind a real server in this process.

``make loop-watch`` runs this with 200,000 customers and prints the longest callback of each path.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from crm_core.commands import perform
from crm_core.control.server import ControlServer
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import Unit
from large_tenant import first_customer, multiply
from loop_paths import CUSTOMERS, ENTRIES, PATHS, TENANTS, Large, T
from loop_watch import LoopWatch
from served import ALL, instance

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

LIMIT = 0.010  # seconds of the loop thread's CPU time
TRIES = 6  # other processes may slow a callback down now and then; a callback that is long is long each time
PRINTS = "CRM_LOOP_CUSTOMERS" in os.environ
FILES = {
    "instance.yaml": (
        f"instance: eu1\nlisten: 127.0.0.1:0\ntenants_dir: ../tenants\nsecret_key: base64:{'c2VjcmV0' * 8}\n"
        "sync: {unverified_per_minute: 100000, max_payload_bytes: 16777216}\n"
    )
}


def _entry(number: int) -> LogEntry:
    return LogEntry(
        id=f"01900000-0000-7000-8000-{number:012x}", received_at=f"2026-11-2{number % 8}T02:00:00.000Z",
        instance="eu1", tenant=T, request_id=f"r{number}", source_ip="192.0.2.1", payload_type="features",
        nonce=f"nonce-{number:020d}", signature_result="valid", status="applied",
    )  # fmt: skip


async def _prepared(folder: Path) -> None:
    async with instance(folder, FILES) as served:
        await served.push("features", {"plan": ALL})
        await first_customer(served.services, T)
        for first in range(0, ENTRIES, 500):
            unit = Unit(now=1_800_000_000, entries=tuple(map(_entry, range(first, first + 500))))
            await served.services.backend.commit(T, unit)
        await served.services.backend.fold(T)
    multiply(folder / "tenants" / T, CUSTOMERS)
    for number in range(TENANTS):
        shutil.copytree(folder / "tenants" / "contoso", folder / "tenants" / f"t{number}")


async def _sell(large: Large) -> None:
    """Store deals of the customers."""
    customers = json.loads(await large.api("customers?limit=200"))["items"]
    stages = ("new", "qualified", "proposal", "won", "lost")
    for first in range(0, CUSTOMERS // 5, 500):
        items = [
            {"name": f"Deal {at}", "customer_id": customers[at % 200]["id"], "stage": stages[at % 5],
             "amount": f"{at}.50", "currency": ("EUR", "USD")[at % 2], "owner": "a@example.com",
             "closes_on": f"2026-{at % 12 + 1:02}-15"}
            for at in range(first, first + 500)
        ]  # fmt: skip
        await large.api("deals/batch", json.dumps({"items": items}).encode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Large]:
    """The instance, filled and opened again."""
    folder = tmp_path_factory.mktemp("large")
    await _prepared(folder)
    async with instance(folder, FILES) as served:
        token = await served.token("customers:read", "customers:write", "deals:write", "sync:read")
        services = served.services
        user = await services.users.create(T, {"email": "a@example.com", "name": "A", "role": "super_admin"}, None)
        cookie = services.sessions.cookie(T, await services.sessions.open(T, user, "browser"))
        control = ControlServer(services.settings.tenants_dir, lambda name, words: perform(services, name, words))
        await control.start()
        large = Large(served, token, cookie, folder)
        await _sell(large)
        try:
            yield large
        finally:
            await control.close()


@pytest.fixture(scope="module")
def watch() -> Iterator[LoopWatch]:
    """The watchdog; at the end the longest callback of each path is printed."""
    with LoopWatch() as watching:
        yield watching


@pytest.mark.parametrize("name", PATHS)
async def test_no_callback_is_long(
    large: Large, watch: LoopWatch, name: str, record_property: Callable[[str, object], None]
) -> None:
    """No callback of this path uses more than 10 ms of the event loop's thread."""
    for _ in range(TRIES):
        with watch.part() as longest:
            await PATHS[name](large)
            await asyncio.sleep(0.05)
        record_property("longest callback", str(longest))
        if PRINTS:
            sys.stdout.write(f"\n{name}: {longest}\n")
        if longest.seconds <= LIMIT:
            return
    pytest.fail(f"{longest}")

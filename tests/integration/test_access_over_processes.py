"""Who gets through, on PostgreSQL and over several processes: by the same table as in one process on files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from contract.access.test_route_table import TABLE, table_of
from contract.box import Box, until
from crm_core.compose import clock, open_backend
from crm_core.services import Services
from crm_core.settings.configuration import Configuration
from crm_core.settings.installation import install
from postgresql_server import Server
from served import KEY, Instance

TENANTS = {
    "northwind": {"keys": [{"version": 2, "secret": f"hex:{KEY.hex()}"}]},
    "contoso": {"keys": [{"version": 1, "secret": f"hex:{KEY[::-1].hex()}"}]},
}


@pytest.fixture
def box(postgresql: Server, tmp_path: Path) -> Iterator[Box]:
    """An instance in two processes on PostgreSQL."""
    storage = {"backend": "postgresql", "dsn": postgresql.copy(), "pool": 4}
    box = Box(tmp_path / "instance", tenants=TENANTS, settings={"storage": storage})
    box.options = ("--processes", "2")
    yield box.create_tenants().start()
    assert box.stop() == 0


async def test_every_process_lets_through_whom_the_table_names(box: Box) -> None:
    """Each caller asks one of two processes; users, tokens and features of elsewhere count with the next."""
    installation = install(box.config, box.environ)
    backend = await open_backend(installation)
    try:
        services = Services(installation, backend, Configuration(installation, clock), clock, None)
        live = Instance(str(box.client.base_url).rstrip("/"), services, count(1))
        assert await table_of(live) == TABLE.read_text()
    finally:
        await backend.close()


def test_a_removed_tenant_is_unknown_to_every_process(box: Box) -> None:
    """After a command removed a tenant, each push for it is 404, signed or not: this is judged before all else."""

    def pushed() -> set[str]:
        address = f"{box.client.base_url}{box.base('contoso')}/sync/branding"
        return {httpx.post(address, json={}).json()["code"] for _ in range(10)}

    assert pushed() == {"signature_missing"}
    box.crm("tenant", "remove", "contoso", "--yes", "--no-backup")
    until(lambda: pushed() == {"unknown_tenant"}, lambda: "a process does not know that it is gone")

"""A soak of ``crm migrate --to``: there and back through kills, with every part and hash compared.

``python tests/soak/migrate.py --records 50000 --entries 20000 --kills 3`` exits 1 unless the tenants are the same in
both stores after each way. ``--postgresql`` copies to PostgreSQL, else to the SQLite backend of docs/examples.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from contract.box import Box  # noqa: E402 -- found through the path above when run as a program
from crm_core.commands.copying import sum_of  # noqa: E402 -- likewise
from crm_core.compose import open_stores  # noqa: E402 -- likewise
from crm_core.plugin.storage import Unit  # noqa: E402 -- likewise
from crm_core.settings.installation import install  # noqa: E402 -- likewise
from crm_core.testing.storage import entry  # noqa: E402 -- likewise
from doc_plugins import BACKEND  # noqa: E402 -- likewise
from postgresql_server import server  # noqa: E402 -- likewise

PLAN = {"plan": {"code": "p", "name": "P", "features": ["customers.*"]}}
TENANT = "northwind"


class Soak:
    """One instance on files with a large tenant, and another store next to it."""

    def __init__(self, folder: Path, dsn: str | None, seed: int) -> None:
        self.chance, self.dsn = random.Random(seed), dsn
        self.other = "sqlite" if dsn is None else "postgresql"
        files = {} if dsn else {"lone/sqlite_storage.py": BACKEND.read_text()}
        self.box = Box(folder / "box", settings=self.settings("tinydb"), files=files)
        self.box.create_tenants()

    def settings(self, backend: str) -> dict[str, Any]:
        options: dict[str, dict[str, Any]] = {"tinydb": {}, self.other: {"dsn": self.dsn} if self.dsn else {}}
        storage = {"backend": backend, **options[backend], "others": options}
        return {"plugins": {"folders": [] if self.dsn else ["lone"]}, "storage": storage}

    def fill(self, records: int, entries: int) -> None:
        """Records and their changes over the API, then log entries into the store."""
        self.box.start()
        self.box.push("features", PLAN)
        scopes = [word for access in ("read", "write") for word in ("--scope", f"customers:{access}")]
        token = self.box.crm("token", "create", "--tenant", TENANT, *scopes).split()[0]
        headers, url = {"Authorization": f"Bearer {token}"}, f"http://127.0.0.1:{self.box.port}{self.box.base()}"
        with httpx.Client(headers=headers, timeout=60) as api:
            for first in range(0, records, 500):
                names = [f"c{number}" for number in range(first, min(first + 500, records))]
                items = [{"external_id": name, "name": f"Customer {name}", "tags": ["a", "b"]} for name in names]
                api.post(f"{url}/customers/batch", json={"items": items}).raise_for_status()
        self.box.stop()
        asyncio.run(self._log(entries))

    async def _log(self, entries: int) -> None:
        installation = install(self.box.config, self.box.environ)
        async with open_stores(installation, installation.settings.storage) as (store,):
            for first in range(0, entries, 200):
                some = tuple(entry(number) for number in range(first, min(first + 200, entries)))
                await store.commit(TENANT, Unit(now=int(time.time()), entries=some))

    def sums(self, backend: str) -> Any:
        """The number of parts of each kind in a store, and their hash."""

        async def read() -> Any:
            installation = install(self.box.config, self.box.environ)
            storage = installation.settings.storage.others[backend]
            async with open_stores(installation, storage) as (store,):
                report = await store.verify(TENANT)
                assert report.problems == ()
                return (await sum_of(store, TENANT)).value

        return asyncio.run(read())

    def migrate(self, to: str, kills: int) -> float:
        """Copy, killed up to so many times on the way; the seconds that the last run took."""
        command = [*self.box.program, "migrate", "--to", to, "--config", str(self.box.config)]
        for left in range(kills, -1, -1):
            begun = time.monotonic()
            with subprocess.Popen(command, env=self.box.environ, stdout=subprocess.DEVNULL) as process:
                try:
                    process.wait(self.chance.uniform(0.5, 6.0) if left else None)
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    continue
            assert process.returncode == 0
            break
        self.box.write_settings(self.settings(to))
        return time.monotonic() - begun


@contextmanager
def database(postgresql: bool) -> Iterator[str | None]:
    """The DSN of an empty database on a server that waits for its disk, if one is wanted."""
    if not postgresql:
        yield None
        return
    with server(durable=True) as started:
        yield started.fresh()


def main() -> None:
    """Run the soak."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, database(options.postgresql) as dsn:
        soak = Soak(Path(folder), dsn, options.seed)
        soak.fill(options.records, options.entries)
        before = soak.sums("tinydb")
        there = soak.migrate(soak.other, options.kills)
        middle = soak.sums(soak.other)
        back = soak.migrate("tinydb", options.kills)
        after = soak.sums("tinydb")
    sys.stdout.write(
        f"seed {options.seed}: {there:.1f} s there, {back:.1f} s back; {dict(before[0])}, SHA-256 {before[1].hex()}\n"
    )
    if not before == middle == after:
        sys.exit(f"NOT THE SAME: {middle} in {soak.other}, {after} after the way back")


if __name__ == "__main__":
    main()

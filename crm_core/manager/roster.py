"""instances.yaml kept in force while it is edited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from crm_core.manager.limits import Patience
from crm_core.manager.routes import Routes
from crm_core.manager.upstream import log
from crm_core.model import times
from crm_core.settings import InstancesSettings, Watched, load_instances
from crm_core.settings.reload import POLL_SECONDS


class InstanceRoster:
    """The settings in force and the routes made of them. Raises SetupError where the file does not load at first."""

    def __init__(self, path: Path, patience: Patience, now: Callable[[], datetime]) -> None:
        self._file = Watched(path, lambda: load_instances(path), now)
        self._listen = self._file.value.listen
        self._touched = asyncio.Event()
        self.routes = Routes(patience, now)

    @property
    def settings(self) -> InstancesSettings:
        """What the file says."""
        return self._file.value

    def hurry(self) -> None:
        """Load the file at once, touched or not; what SIGHUP does."""
        self._touched.set()

    @asynccontextmanager
    async def in_force(self) -> AsyncIterator[None]:
        """Keep the routes as the file says."""
        self.routes.apply(self.settings)
        polling = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            polling.cancel()
            await self.routes.close()

    def told(self) -> dict[str, Any]:
        """What operators see: the instances, and whether the newest edit is in force."""
        error = self._file.error
        if error is None and self.settings.listen != self._listen:
            error = f"listen: still {self._listen}; a change takes a restart"
        return {
            "instances": self.routes.told(),
            "roster": {"loaded_at": times.to_wire(self._file.loaded_at), "error": error},
        }

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._touched.wait()
            force = self._touched.is_set()
            self._touched.clear()
            before = self._file.error
            if await asyncio.to_thread(self._file.poll, force=force):
                self.routes.apply(self.settings)
                log.info("config_loaded", file=self._file.path.name)
            elif self._file.error not in (None, before):
                for line in (self._file.error or "").splitlines():
                    log.warning("config_refused", problem=line)

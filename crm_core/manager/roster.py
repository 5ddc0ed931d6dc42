"""instances.yaml and its edits while the manager runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from crm_core.manager.limits import Timeouts
from crm_core.manager.routes import Routes
from crm_core.manager.upstream import log
from crm_core.model import times
from crm_core.model.waiting import set_within
from crm_core.settings.instances import InstancesSettings, load_instances
from crm_core.settings.reload import POLL_SECONDS, Watched


class InstanceRoster:
    """The current settings and their routes.

    Raises SetupError if the file does not load at the start.
    """

    def __init__(self, path: Path, timeouts: Timeouts, now: Callable[[], datetime]) -> None:
        self._file = Watched(path, lambda: load_instances(path), now)
        self._listen = self._file.value.listen
        self._wake = asyncio.Event()
        self.routes = Routes(timeouts, now)

    @property
    def settings(self) -> InstancesSettings:
        """The settings of the last file that loaded."""
        return self._file.value

    def reload(self) -> None:
        """Load the file immediately, edited or not, as SIGHUP does."""
        self._wake.set()

    @asynccontextmanager
    async def active(self) -> AsyncIterator[None]:
        """Apply the file and each edit of it."""
        self.routes.apply(self.settings)
        polling = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            polling.cancel()
            await self.routes.close()

    def report(self) -> dict[str, object]:
        """Return the instances, and whether the newest edit is in effect, for operators."""
        error = self._file.error
        if error is None and self.settings.listen != self._listen:
            error = f"listen: still {self._listen}; restart the manager to change it"
        return {
            "instances": self.routes.report(),
            "roster": {"loaded_at": times.to_wire(self._file.loaded_at), "error": error},
        }

    async def _poll(self) -> None:
        while True:
            force = await set_within(self._wake, POLL_SECONDS)
            self._wake.clear()
            before = self._file.error
            if await asyncio.to_thread(self._file.poll, force=force):
                self.routes.apply(self.settings)
                log.info("config_loaded", file=self._file.path.name)
            elif self._file.error not in (None, before):
                for line in (self._file.error or "").splitlines():
                    log.warning("config_refused", problem=line)

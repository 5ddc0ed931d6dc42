"""The instances in force: which upstreams serve which code, exchanged as a whole when the file is edited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from crm_core.manager.health import tend
from crm_core.manager.limits import Patience
from crm_core.manager.upstream import Upstream
from crm_core.settings import InstancesSettings


class Instance:
    """The upstreams of one instance, in the order of the file."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.upstreams = tuple(upstreams)
        self._turn = 0

    def order(self) -> Sequence[Upstream]:
        """The upstreams to try: those that are up first, the least busy first, equals in turns."""
        if len(self.upstreams) == 1:
            return self.upstreams
        self._turn += 1
        at = self._turn % len(self.upstreams)
        turned = self.upstreams[at:] + self.upstreams[:at]
        return sorted(turned, key=lambda each: (each.state == "down", each.in_flight))


class Routes:
    """Each instance by its code. Upstreams that stay in the file keep their connections and their state."""

    def __init__(self, patience: Patience, now: Callable[[], datetime]) -> None:
        self._patience = patience
        self._now = now
        self._instances: Mapping[str, Instance] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def apply(self, settings: InstancesSettings) -> None:
        """Let other settings come into force; requests under way on upstreams that are gone finish there."""
        known = {str(each.address): each for one in self._instances.values() for each in one.upstreams}
        fresh: dict[str, Instance] = {}
        for code, addresses in settings.instances.items():
            upstreams = []
            for address in addresses:
                upstream = known.pop(str(address), None) or self._begun(Upstream(address, self._patience, self._now))
                upstream.drained = address.drained
                upstreams.append(upstream)
            fresh[code] = Instance(upstreams)
        self._instances = fresh
        for left in known.values():
            left.retired.set()

    def find(self, code: str) -> Instance | None:
        """The instance of a code."""
        return self._instances.get(code)

    def told(self) -> list[dict[str, Any]]:
        """What operators see."""
        return [
            {"instance": code, "upstreams": [each.told() for each in instance.upstreams]}
            for code, instance in self._instances.items()
        ]

    async def close(self) -> None:
        """End all connections to upstreams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begun(self, upstream: Upstream) -> Upstream:
        task = asyncio.create_task(tend(upstream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return upstream

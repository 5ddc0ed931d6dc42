"""The upstreams of each instance code, replaced as a whole when the file is edited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from crm_core.manager.limits import Timeouts
from crm_core.manager.upstream import Upstream
from crm_core.settings.instances import InstancesSettings


class Instance:
    """The upstreams of one instance, in the order of the file."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.upstreams = tuple(upstreams)
        self._turn = 0

    def order(self) -> Sequence[Upstream]:
        """Return the upstreams to try: those not down first, then the least busy, equals in turns.

        One whose database does not answer refuses quickly, so it would be the least busy: it comes after the others.
        """
        if len(self.upstreams) == 1:
            return self.upstreams
        self._turn += 1
        at = self._turn % len(self.upstreams)
        turned = self.upstreams[at:] + self.upstreams[:at]
        return sorted(turned, key=lambda each: (each.state == "down", not each.storage_up, each.in_flight))


class Routes:
    """Instances by code. Upstreams that stay in the file keep their connections and their state."""

    def __init__(self, timeouts: Timeouts, now: Callable[[], datetime]) -> None:
        self._timeouts = timeouts
        self._now = now
        self._instances: Mapping[str, Instance] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def apply(self, settings: InstancesSettings) -> None:
        """Replace the settings; requests in progress at removed upstreams are finished."""
        running = (upstream for instance in self._instances.values() for upstream in instance.upstreams)
        known = {str(upstream.address): upstream for upstream in running}
        fresh: dict[str, Instance] = {}
        for code, addresses in settings.instances.items():
            upstreams = []
            for address in addresses:
                upstream = known.pop(str(address), None) or self._started(Upstream(address, self._timeouts, self._now))
                upstream.drained = address.drained
                upstreams.append(upstream)
            fresh[code] = Instance(upstreams)
        self._instances = fresh
        for removed in known.values():
            removed.retired.set()

    def find(self, code: str) -> Instance | None:
        """Return the instance of a code."""
        return self._instances.get(code)

    def report(self) -> list[dict[str, object]]:
        """Return the state of each upstream, for operators."""
        return [
            {"instance": code, "upstreams": [upstream.report() for upstream in instance.upstreams]}
            for code, instance in self._instances.items()
        ]

    async def close(self) -> None:
        """End all connections to upstreams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _started(self, upstream: Upstream) -> Upstream:
        task = asyncio.create_task(upstream.monitor())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return upstream

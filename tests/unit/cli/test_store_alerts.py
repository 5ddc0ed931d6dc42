from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest

from crm_core.cli.store_alerts import log_store_alerts
from crm_core.errors import StorageUnavailable
from crm_core.plugin.query import StoreState
from crm_tinydb.storage import TinyDBBackend

ILL, WORSE = StoreState("read_only", "The disk is full."), StoreState("quarantined", "A segment is damaged.")


class Acted(TinyDBBackend):
    """A backend that reports one state after the other, and then sets ``stop``."""

    def __init__(self, stop: asyncio.Event, *acts: Mapping[str, StoreState] | Exception) -> None:
        super().__init__()
        self._stop, self._acts = stop, list(acts)

    async def troubled(self) -> Mapping[str, StoreState]:
        act = self._acts.pop(0)
        if not self._acts:
            self._stop.set()
        if isinstance(act, Exception):
            raise act
        return act


async def test_a_line_for_each_change_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """Each change of a store's state is logged once; a backend that cannot answer changes no tenant's."""
    stop = asyncio.Event()
    acts = ({"north": ILL}, {"north": ILL}, StorageUnavailable("away"), ValueError("a fault"), {"north": WORSE}, {}, {})
    with caplog.at_level(logging.INFO, "crm.serve"):
        await log_store_alerts(Acted(stop, *acts), stop, 0.001)
    assert [(record.levelname, record.getMessage(), vars(record)["members"]) for record in caplog.records] == [
        ("ERROR", "tenant_troubled", {"tenant": "north", "mode": ILL.mode, "reason": ILL.reason}),
        ("ERROR", "storage_unavailable", {"reason": "away"}),
        ("ERROR", "plugin_failed", {"error": "ValueError", "at": "troubled"}),
        ("INFO", "storage_recovered", {}),
        ("ERROR", "tenant_troubled", {"tenant": "north", "mode": WORSE.mode, "reason": WORSE.reason}),
        ("INFO", "tenant_recovered", {"tenant": "north"}),
    ]

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import StorageFull
from served import instance, problem


@pytest.mark.parametrize("fault", [StorageFull("full"), ZeroDivisionError()])
async def test_a_health_request_that_met_a_fault_may_be_sent_again(tmp_path: Path, fault: Exception) -> None:
    """After every fault of the server: nothing was answered, so the same request is no replay."""
    async with instance(tmp_path) as live, live.client() as client:
        summary, headers = live.services.backend.summary, live.signed("health", b"")

        async def failing(_tenant: str) -> Any:
            raise fault

        live.services.backend.summary = failing  # type: ignore[method-assign]  # the store fails
        answer = await client.get("sync/health", headers=headers)
        assert answer.status_code >= 500
        live.services.backend.summary = summary  # type: ignore[method-assign]
        assert (await client.get("sync/health", headers=headers)).status_code == 200
        problem(await client.get("sync/health", headers=headers), 409, "replayed_nonce")

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from crm_core.cli.token import command
from crm_core.control.lock import folder_lock
from crm_core.control.server import ControlServer

OF_0_2_0 = {
    "id": "01a22d55-90d4-7216-8c7b-3f12c9a238f7",
    "name": "import",
    "scopes": ["customers:read"],
    "created_at": "2026-11-28T16:41:52.084Z",
    "expires_at": None,
    "revoked_at": None,
    "state": "active",
}


async def test_tokens_of_a_running_server_of_0_2_0_are_listed(config: Path) -> None:
    """Before an instance is restarted on this version, its tokens are listed without what 0.2.0 does not say."""

    async def answer(_command: str, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {"tokens": [OF_0_2_0]}

    folder = config.parent / "tenants"
    with folder_lock(folder):
        server = ControlServer(folder, answer)
        await server.start()
        try:
            words = ["list", "--tenant", "northwind", "--config", str(config)]
            done = await asyncio.to_thread(CliRunner().invoke, command, words)
        finally:
            await server.close(grace=1)
    assert (done.exit_code, done.output) == (0, f"{OF_0_2_0['id']}  active   customers:read  import\n")

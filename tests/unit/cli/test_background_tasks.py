from __future__ import annotations

import asyncio
import logging

import pytest

from crm_core.cli.serve import log_failure


async def test_a_background_task_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A task that ends by an error is logged by its name, without the error's message; a cancelled one is not."""

    async def watch_files() -> None:
        raise ValueError("a secret")

    tasks = [asyncio.create_task(watch_files()), asyncio.create_task(asyncio.sleep(5))]
    for task in tasks:
        task.add_done_callback(log_failure)
    tasks[1].cancel()
    with caplog.at_level(logging.ERROR, "crm.serve"):
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["internal_error"]
    members = vars(caplog.records[0])["members"]
    assert (members["error"], members["at"].rpartition(".")[2]) == ("ValueError", "watch_files")
    assert "secret" not in caplog.text

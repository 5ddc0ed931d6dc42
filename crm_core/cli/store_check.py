"""The check of a store before it is served, as soon as it answers, and while processes share it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final

from crm_core.commands.copying import refuse_marked
from crm_core.commands.tenant import unstored
from crm_core.errors import SetupError, StorageUnavailable
from crm_core.model.waiting import set_within
from crm_core.server_log import ServerLog
from crm_core.services import Services

_RETRY: Final = 1.0  # seconds
_AGAIN: Final = 5.0  # seconds
_log: Final = ServerLog("crm.serve")


async def check_store(services: Services) -> bool:
    """Log the roster's tenants that do not exist; False if the store does not answer yet.

    Raises SetupError for a store that was copied to another one.
    """
    try:
        await refuse_marked(services.backend)
        missing = (await unstored(services))["warnings"]
    except StorageUnavailable:
        return False
    for line in missing:
        _log.warning("tenant_missing", problem=line)
    return True


async def check_store_later(services: Services, *, checked: bool) -> None:
    """Check once the store answers, and one that processes share again and again: it may be copied while one hangs.

    Stops the server if the store must not be served. Raises SetupError.
    """
    while not (checked and services.backend.EXCLUSIVE):
        if await set_within(services.stop, _AGAIN if checked else _RETRY):
            return
        try:
            if checked:
                with suppress(StorageUnavailable):
                    await refuse_marked(services.backend)
            else:
                checked = await check_store(services)
        except SetupError:
            os.kill(os.getpid(), signal.SIGTERM)
            raise

"""Checks of the content of a push, in a thread if its body is long: the event loop has other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from traceback import clear_frames
from typing import Final, TypeVar

from crm_core.errors import CrmError

T = TypeVar("T")
_INLINE: Final = 16 * 1024  # bytes of a body that is checked on the event loop


async def checked(body: bytes, checks: Callable[[], T]) -> T:
    """The result of checks of a body; plugins may need long for them. Raises what they raise."""
    if len(body) <= _INLINE:
        return checks()

    def in_thread() -> T:
        try:
            return checks()
        except CrmError as error:
            clear_frames(error.__traceback__)  # frees what was found here, and not on the loop with the error
            raise

    return await asyncio.to_thread(in_thread)

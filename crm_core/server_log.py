"""The server's log: an event by name with members, through the standard library's logging."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Final

CORE: Final = "crm_core."
"""The beginning of the names of the core's own modules."""

NO_PLUGIN: Final = (CORE, *(f"{name}{mark}" for name in sys.stdlib_module_names for mark in ".:"))
"""The beginnings of the places that are no plugin's: in the core, and in the standard library, which plugins call."""

logging.getLogger("crm").addHandler(logging.NullHandler())  # commands have no log: Python would print the bare names


class ServerLog:
    """Writes events of one part of the server. ``name``: ``crm.`` and the part, which chooses no level and no place."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **members: object) -> None:
        """Report what went as it should."""
        self._logger.info(event, extra={"members": members})

    def warning(self, event: str, **members: object) -> None:
        """Report what an admin may want to change."""
        self._logger.warning(event, extra={"members": members})

    def error(self, event: str, **members: object) -> None:
        """Report what needs attention."""
        self._logger.error(event, extra={"members": members})


def origin(error: BaseException | None, *, outside: str | tuple[str, ...] = "") -> dict[str, str]:
    """The type of an exception and the line that raised it; the last one ``outside`` these modules, if there is one."""
    if error is None:
        return {}
    trace = traceback.walk_tb(error.__traceback__)
    places = [f"{frame.f_globals.get('__name__')}:{line}" for frame, line in trace] or ["unknown"]
    foreign = [place for place in places if outside and not place.startswith(outside)]
    return {"error": type(error).__name__, "at": (foreign or places)[-1]}

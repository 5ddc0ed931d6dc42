"""The server's log: an event by name with members, through the standard library's logging."""

from __future__ import annotations

import logging


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


def origin(error: BaseException | None) -> dict[str, str]:
    """The type of an exception and the line that raised it."""
    if error is None:
        return {}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "unknown"
    return {"error": type(error).__name__, "at": place}

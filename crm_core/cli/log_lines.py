"""The server's log on standard error: one JSON object per line, for our events and those of libraries."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_OURS: Final = "crm_core"
_LONGEST: Final = 300


def set_up_logging(worker: int | None = None) -> None:
    """Log JSON lines to standard error, without stack traces: they may contain data of a request.

    ``worker``: the number of this process among several; each line has it. A plugin may have configured logging when it
    was loaded, which turns loggers off that exist by then.
    """
    logging.disable(logging.NOTSET)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines({} if worker is None else {"worker": worker}))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("crm").setLevel(logging.INFO)


class _Lines(logging.Formatter):
    """Format events with their members, and records of libraries in the same form.

    Texts of libraries, and the values they fill in, may contain data of a request: only the first line of the text as
    it is in their code is logged, with the type of the error.
    """

    def __init__(self, everywhere: Mapping[str, int]) -> None:
        super().__init__()
        self._everywhere = everywhere

    def format(self, record: logging.LogRecord) -> str:
        members = getattr(record, "members", None)
        event = record.getMessage() if members is not None else _first_line(record)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        named = {"event": event, "level": record.levelname.lower(), "timestamp": moment}
        details = _origin(record) if members is None else members
        return json.dumps({**details, **self._everywhere, **named}, default=repr)


def _origin(record: logging.LogRecord) -> dict[str, str]:
    error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
    return {"logger": record.name} | ({"error": error} if error else {})


def _first_line(record: logging.LogRecord) -> str:
    words = record.getMessage() if record.name.startswith(_OURS) else str(record.msg)
    return words.partition("\n")[0][:_LONGEST]

"""What a server says on standard error: one JSON object a line, of ours and of libraries alike."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

_OURS: Final = "crm_core"
_LONGEST: Final = 300


def set_up_logging() -> None:
    """JSON lines on standard error; no traces, which may hold what a request held."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("crm").setLevel(logging.INFO)


class _Lines(logging.Formatter):
    """Events with their members, and what libraries log in the same form.

    The words of libraries may hold what a request held, and so may what they fill in: of them only the first line is
    told, as it stands in their code, with the type of the error.
    """

    def format(self, record: logging.LogRecord) -> str:
        members = getattr(record, "members", None)
        event = record.getMessage() if members is not None else _first_line(record)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        named = {"event": event, "level": record.levelname.lower(), "timestamp": moment}
        return json.dumps({**(_origin(record) if members is None else members), **named}, default=repr)


def _origin(record: logging.LogRecord) -> dict[str, str]:
    error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
    return {"logger": record.name} | ({"error": error} if error else {})


def _first_line(record: logging.LogRecord) -> str:
    words = record.getMessage() if record.name.startswith(_OURS) else str(record.msg)
    return words.partition("\n")[0][:_LONGEST]

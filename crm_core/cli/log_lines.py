"""What a server says on standard error: one JSON object a line, of ours and of libraries alike."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

_OURS: Final = "crm_core"
_LONGEST: Final = 300


def set_up_logging() -> None:
    """JSON lines on standard error; no traces, which may hold what a request held."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)


class _Lines(logging.Handler):
    """What libraries log, in the same form.

    Their words may hold what a request held, and so may what they fill in: of them only the first line is told, as it
    stands in their code, with the type of the error.
    """

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage() if record.name.startswith(_OURS) else str(record.msg)
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log = structlog.get_logger("crm.library")
        known = {"logger": record.name} | ({"error": error} if error else {})
        log.log(record.levelno, words.partition("\n")[0][:_LONGEST], **known)

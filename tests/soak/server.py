"""``crm`` as it is, but it kills itself with SIGKILL at the point that a file names, and folds often."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from crm_core.cli.main import main
from crm_tinydb import folding, tenant
from crm_tinydb.journal import Journal

CONTROL = Path(os.environ["KILL_AT"])
_append, _pause = Journal.append, folding.pause


def reached(point: str) -> bool:
    """Whether to end here."""
    return CONTROL.exists() and CONTROL.read_text() == point


def end() -> None:
    """End as by a power cut of the process."""
    CONTROL.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def append(self: Any, data: bytes) -> None:
    """Append half a batch, or all of it without an answer."""
    if reached("batch"):
        _append(self, data[: len(data) // 2])
        end()
    _append(self, data)
    if reached("answer"):
        end()


def pause() -> None:
    """Pause in a fold."""
    if reached("fold"):
        end()
    _pause()


Journal.append = append  # type: ignore[method-assign]
folding.pause = pause
tenant.FOLD_AT, tenant.FOLD_SHARE = 1 << 17, 100

if __name__ == "__main__":
    main()

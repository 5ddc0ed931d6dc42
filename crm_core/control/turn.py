"""Wait for one's turn at a tenants folder: a command has it for a moment, a server for as long as it serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from crm_core.control.client import is_served
from crm_core.control.lock import FolderBusy, folder_lock

PATIENCE_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 0.05


@contextmanager
def patient_lock(folder: Path, seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Lock a tenants folder; wait while another command has it, or a server that starts or stops.

    Raises FolderBusy immediately if a server serves it, else after ``seconds``; SetupError as ``folder_lock``.
    """
    deadline = time.monotonic() + seconds
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(folder_lock(folder))
                break
            except FolderBusy:
                if is_served(folder) or time.monotonic() > deadline:
                    raise
            time.sleep(_AGAIN_SECONDS)
        yield

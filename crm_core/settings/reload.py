"""A file that is edited while the server runs: an edit takes effect if it loads, and changes nothing if it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from crm_core.errors import SetupError

T = TypeVar("T")
_Mark = tuple[int, int, int, int] | None

POLL_SECONDS = 0.5


class Watched(Generic[T]):
    """A file and its content. Raises SetupError if it does not load at the start.

    ``value`` is the last content that loaded, at ``loaded_at``; ``error`` says why a later edit did not load. A removed
    file counts as such an edit: an editor may be about to write it again.
    """

    def __init__(self, path: Path, load: Callable[[], T], now: Callable[[], datetime]) -> None:
        self.path = path
        self._load = load
        self._now = now
        self._mark = _mark(path)  # before reading, so that an edit while reading shows in the next poll
        self._was_there = self._mark is not None
        self._seen = self._mark
        self.value = load()
        self.loaded_at = now()
        self.error: str | None = None

    def poll(self, *, force: bool = False) -> bool:
        """Load the file if it was edited, or always with ``force``. True if a value took effect.

        An edit waits while the file differs from the poll before: it may be half written, and half a roster may load.
        """
        mark = _mark(self.path)
        if mark == self._mark and not force:
            return False
        before, self._seen = self._seen, mark
        if mark != before and not force:
            return False
        self._mark = mark
        try:
            self._refuse_gone()
            value = self._load()
            self._refuse_gone()  # while it was read: an optional file would count as left out
        except SetupError as error:
            self.error = str(error)
            return False
        self.value, self.loaded_at, self.error = value, self._now(), None
        self._was_there = mark is not None
        return True

    def _refuse_gone(self) -> None:
        if not self._was_there:
            return
        try:
            self.path.stat()
        except OSError as error:
            fix = (
                "is gone; put it back"
                if isinstance(error, FileNotFoundError)
                else f"is out of reach ({error.strerror})"
            )
            raise SetupError([f"{self.path.name}:1:1: the file {fix}, its last state stays in effect"]) from None


def _mark(path: Path) -> _Mark:
    """A mark that changes with each edit of a file, and if a link to it is swapped."""
    try:
        status = path.stat()
    except OSError:
        return None
    # st_ctime cannot be set back, unlike st_mtime, which copying tools set.
    return status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino

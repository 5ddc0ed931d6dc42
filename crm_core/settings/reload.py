"""Files edited while the server runs: an edit takes effect if it loads, and changes nothing if it does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from crm_core.errors import SetupError
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.keys import Roster
from crm_core.settings.catalog import Guarded, load_catalog
from crm_core.settings.instance import InstanceSettings
from crm_core.settings.roles import load_roles
from crm_core.settings.roster import load_roster

T = TypeVar("T")
_Mark = tuple[int, int, int, int] | None

POLL_SECONDS = 1.0


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
        self.value = load()
        self.loaded_at = now()
        self.error: str | None = None

    def poll(self, *, force: bool = False) -> bool:
        """Load the file if it was edited, or always with ``force``. True if a value took effect."""
        mark = _mark(self.path)
        if mark == self._mark and not force:
            return False
        vanished = mark is None and self._mark is not None
        self._mark = mark
        if vanished:
            self.error = f"{self.path.name}:1:1: the file is gone; put it back, its last state stays in effect"
            return False
        try:
            value = self._load()
        except SetupError as error:
            self.error = str(error)
            return False
        self.value, self.loaded_at, self.error = value, self._now(), None
        return True


def _mark(path: Path) -> _Mark:
    """A mark that changes with each edit of a file, and if a link to it is swapped."""
    try:
        status = os.stat(path)  # noqa: PTH116 - the call as the comparison with tools that swap links needs it
    except OSError:
        return None
    # st_ctime cannot be set back, unlike st_mtime, which copying tools set.
    return status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino


class Configuration:
    """The files that an admin edits, as currently in effect. Raises SetupError with the problems of all files.

    ``generation`` grows whenever an edit of any file takes effect, so that derived values are derived again.
    """

    def __init__(
        self,
        folder: Path,
        settings: InstanceSettings,
        *,
        sections: Collection[str],
        schemes: Collection[str],
        record_types: Collection[Guarded],
        environ: Mapping[str, str],
        now: Callable[[], datetime],
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.generation = 1
        self._touched = asyncio.Event()
        self._force = False
        keys, modules, roles = (folder / name for name in ("keys.yaml", "modules.yaml", "roles.yaml"))
        problems: list[str] = []
        with _collected(problems):
            self._roster = Watched(
                keys, lambda: load_roster(keys, sections=sections, schemes=schemes, environ=environ), now
            )
        with _collected(problems):
            self._catalog = Watched(modules, lambda: load_catalog(modules, record_types=record_types), now)
            with _collected(problems):  # roles are read against the current catalog
                self._roles = Watched(roles, lambda: load_roles(roles, catalog=self.catalog), now)
        if problems:
            raise SetupError(problems)

    @property
    def roster(self) -> Roster:
        """The key roster."""
        return self._roster.value

    @property
    def catalog(self) -> Catalog:
        """The catalog of modules, with plan and policy."""
        return self._catalog.value

    @property
    def roles(self) -> Roles:
        """The local roles."""
        return self._roles.value

    @property
    def loaded_at(self) -> datetime:
        """When the current roster was loaded."""
        return self._roster.loaded_at

    @property
    def roster_error(self) -> str | None:
        """Why the roster's newest edit is not in effect; None if it is."""
        return self._roster.error

    def errors(self) -> tuple[str, ...]:
        """The problems for which the newest edits are not in effect."""
        newest = (watched.error for watched in (self._roster, self._catalog, self._roles))
        return tuple(line for error in newest if error is not None for line in error.splitlines())

    def poll(self, *, force: bool = False) -> bool:
        """Load what was edited. True if anything took effect."""
        # The catalog first: roles are read against it, and an edit of it may let refused roles load.
        catalog = self._catalog.poll(force=force)
        changed = [
            catalog,
            self._roster.poll(force=force),
            self._roles.poll(force=force or (catalog and self._roles.error is not None)),
        ]
        if any(changed):
            self.generation += 1
        return any(changed)

    def hurry(self) -> None:
        """Make ``run`` load every file now, edited or not, as SIGHUP does."""
        self._force = True
        self._touched.set()

    async def run(
        self, stop: asyncio.Event, *, changed: Callable[[], None] = lambda: None, seconds: float = POLL_SECONDS
    ) -> None:
        """Poll until ``stop``; ``changed`` is called when an edit took effect or the errors changed."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                touched = asyncio.ensure_future(self._touched.wait())
                await asyncio.wait((stopping, touched), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                touched.cancel()
                if stop.is_set():
                    return
                force, self._force = self._force, False
                self._touched.clear()
                before = self.errors()
                if await asyncio.to_thread(self.poll, force=force) or self.errors() != before:
                    changed()
        finally:
            stopping.cancel()


@contextlib.contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except SetupError as error:
        problems.extend(error.problems)

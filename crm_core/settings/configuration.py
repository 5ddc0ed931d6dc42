"""The configuration files of an instance in effect: those of a server, which follows edits, and those of a command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property

from crm_core.errors import SetupError
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.keys import Roster
from crm_core.settings.installation import Installation
from crm_core.settings.reload import POLL_SECONDS, Watched


class Configuration:
    """The files that an admin edits, as currently in effect. Raises SetupError with the problems of all files.

    ``generation`` grows whenever an edit of any file takes effect, so that derived values are derived again.
    """

    def __init__(self, installation: Installation, now: Callable[[], datetime]) -> None:
        self.generation = 1
        self._touched = asyncio.Event()
        self._force = False
        folder, problems = installation.folder, list[str]()
        with _collected(problems):
            self._roster = Watched(folder / "keys.yaml", installation.load_roster, now)
        with _collected(problems):
            self._catalog = Watched(folder / "modules.yaml", installation.load_catalog, now)
            with _collected(problems):  # roles are read against the current catalog
                self._roles = Watched(folder / "roles.yaml", lambda: installation.load_roles(self.catalog), now)
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
        """Load what was edited, as ``Watched`` does. True if anything took effect."""
        # The catalog first: roles are read against it. Its edit may also leave roles with which no server would start.
        catalog = self._catalog.poll(force=force)
        changed = [catalog, self._roster.poll(force=force), self._roles.poll(force=force or catalog)]
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


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except SetupError as error:
        problems.extend(error.problems)


class ConfigurationOnDemand:
    """The configuration files, each loaded when it is first read: a broken roster stops only commands that need it."""

    generation = 1
    roster_error: str | None = None

    def __init__(self, installation: Installation, now: Callable[[], datetime]) -> None:
        self._installation = installation
        self.loaded_at = now()

    @cached_property
    def roster(self) -> Roster:
        """The key roster. Raises SetupError."""
        return self._installation.load_roster()

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog of modules. Raises SetupError."""
        return self._installation.load_catalog()

    @cached_property
    def roles(self) -> Roles:
        """The local roles. Raises SetupError."""
        return self._installation.load_roles(self.catalog)

    def errors(self) -> tuple[str, ...]:
        """Always empty: a file that does not load raises when it is read."""
        return ()

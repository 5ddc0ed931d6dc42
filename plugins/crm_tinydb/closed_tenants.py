"""The closed tenants that accept no writes, found at a cost that does not grow with the number of tenants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from crm_core.plugin.query import StoreState
from crm_tinydb.disk import Disk
from crm_tinydb.formats import NewerStore, newer_files, newer_identities
from crm_tinydb.opening import MARKER

LOOKED_AT = 100  # tenants in turn whose files one call looks at, and as many of those last seen in trouble
GONE = "The tenant's folder is gone: put it back, or restore a backup (crm tenant restore)."
_MARKED = "The tenant is read-only: its files are damaged; crm doctor names them."


def unreadable(error: OSError) -> str:
    """The reason for a tenant whose files the disk does not return."""
    return f"The tenant's files cannot be read ({error.strerror or 'the disk failed'})."


class ClosedTenants:
    """The known states of closed tenants. Each is looked at when the process starts, then a few at each call, in turn.

    ``look`` and ``look_at_all`` read files and run in a thread; the other calls belong to the loop.
    """

    def __init__(self, disk: Disk, tenants_dir: Path) -> None:
        self._disk, self._tenants_dir = disk, tenants_dir
        self._suspects: dict[str, None] = {}  # to look at first: in trouble when last seen, or closed since
        self._in_turn: list[str] = []
        self._states: dict[str, StoreState] = {}
        self._newer: set[str] = set()  # last seen with a file of a newer format
        self._unreadable: dict[str, StoreState] = {}  # those whose last opening failed

    def look_at_all(self, names: Collection[str]) -> None:
        """Look at the files of all tenants, at start."""
        self._newer = newer_identities(self._disk, self._tenants_dir, names)
        self.record(names, self.look(names))

    def due(self, names: Collection[str], is_closed: Callable[[str], bool]) -> list[str]:
        """The closed tenants to look at now; at most twice ``LOOKED_AT``."""
        if not self._in_turn:
            self._in_turn = list(names)
        chosen = dict.fromkeys([*self._suspects][:LOOKED_AT]) | dict.fromkeys(self._in_turn[-LOOKED_AT:])
        del self._in_turn[-LOOKED_AT:]
        return [name for name in chosen if name in names and is_closed(name)]

    def look(self, names: Iterable[str]) -> dict[str, StoreState]:
        """The states by their files of those that accept no writes."""
        found = {}
        for name in names:
            folder = self._tenants_dir / name
            try:
                if self._disk.exists(folder / MARKER):
                    found[name] = StoreState("quarantined", _MARKED)
                elif not self._disk.exists(folder):
                    found[name] = StoreState("read_only", GONE)
            except OSError as error:
                found[name] = StoreState("read_only", unreadable(error))
        newer = newer_files(self._disk, self._tenants_dir, self._newer.intersection(names))
        return found | {name: StoreState("read_only", str(NewerStore(why))) for name, why in newer.items()}

    def record(self, looked_at: Iterable[str], found: dict[str, StoreState]) -> None:
        """Record what a look found; a suspect whose files are sound is none any more."""
        for name in looked_at:
            self._suspects.pop(name, None)  # and back to the end, so that each of many gets its turn
            self._states.pop(name, None)
            if name in found:
                self._states[name] = found[name]
                self._suspects[name] = None

    def troubled(self, is_closed: Callable[[str], bool]) -> dict[str, StoreState]:
        """The closed tenants that are known to accept no writes."""
        return {name: state for name, state in (self._unreadable | self._states).items() if is_closed(name)}

    def add_closed(self, name: str) -> None:
        """Look at a tenant's files soon: it has just been closed."""
        self._suspects[name] = None

    def add_newer(self, name: str) -> None:
        """Record that a newer version wrote to a tenant."""
        self._newer.add(name)
        self._suspects[name] = None

    def add_unreadable(self, name: str, reason: str) -> None:
        """Record that a tenant could not be opened."""
        self._unreadable[name] = StoreState("read_only", reason)
        self._suspects[name] = None

    def forget(self, name: str) -> None:
        """Forget what was known of a tenant: it is open now, or gone."""
        self._newer.discard(name)
        self._unreadable.pop(name, None)
        self._states.pop(name, None)
        self._suspects.pop(name, None)

"""How long the database may take, so that a request is answered within five seconds."""

from __future__ import annotations

from typing import Final

WAIT: Final = 2.0  # seconds for a connection
CALL_SECONDS: Final = 4.5  # of a call, its wait for a connection included
COMMIT_SECONDS: Final = 3.5  # of a commit, its wait for the commits before it included; then its outcome is looked up
READ_SECONDS: Final = 2.5  # of reads together, for which others may wait
LOOK_SECONDS: Final = 5.0  # of a look whether it can be used: two hosts in turn, and a statement
PROBE_SECONDS: Final = 0.8  # of a call for /readyz, which a manager awaits for two seconds,
REASON_SECONDS: Final = 0.5  # and of the look after it, which says why
HASTY_SECONDS: Final = 1.2  # of a call right after one that took too long
LIST_SECONDS: Final = 30.0  # of one that reads a whole collection
LONG_SECONDS: Final = 600.0  # of a statement that changes all of a tenant

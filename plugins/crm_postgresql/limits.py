"""How long the database may take."""

from __future__ import annotations

from typing import Final

WAIT: Final = 2.0  # seconds for a connection, and for a statement, so that a request is answered within five
STATEMENT_SECONDS: Final = 2.8
LIST_SECONDS: Final = 30.0  # of one that reads a whole collection
LONG_SECONDS: Final = 600.0  # of a statement that changes all of a tenant

"""Paging cursors: signed, and bound to what they were made for, so that none can be edited or used for another list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from crm_core.errors import InvalidCursor

_LONGEST = 4096


class Cursors:
    """Makes and reads cursors. ``secret_keys``: the instance's, the newest first; any of them reads."""

    def __init__(self, secret_keys: Iterable[bytes]) -> None:
        # itsdangerous signs with the last key of the list and tries all when reading.
        self._serializer = URLSafeSerializer(list(reversed(tuple(secret_keys))), salt="crm cursor")

    def make(self, context: str, position: Any) -> str:
        """A cursor at a position (plain JSON) of the list that ``context`` names: tenant, filters, sort."""
        return str(self._serializer.dumps([context, position]))

    def read(self, context: str, cursor: str) -> Any:
        """The position. Raises InvalidCursor for one that was edited, or made for another context."""
        try:
            made_for, position = self._serializer.loads(cursor) if len(cursor) <= _LONGEST else ("", None)
        except (BadData, ValueError, TypeError):
            made_for, position = "", None
        if made_for != context:
            raise InvalidCursor("This cursor is not of this list: send it with the filters and sort it came with.")
        return position

"""Paging cursors: signed and bound to their list, so that they cannot be edited or used for another one."""

from __future__ import annotations

import hashlib
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from itsdangerous import BadSignature

from crm_core.errors import InvalidCursor
from crm_core.model.recent import Recent
from crm_core.workspace.signer import ExactSigner, newest_last

_LONGEST = 4096
_LONG = 1024  # bytes of a text from which it is compressed: a name of 200 signs may have a sort key of thousands
_MOST = 1 << 16


class Cursors:
    """Makes and reads cursors. ``secret_keys``: the instance's, newest first; the first signs, all verify."""

    def __init__(self, secret_keys: Iterable[bytes]) -> None:
        self._signer = ExactSigner(newest_last(secret_keys), salt="crm cursor")
        self._made: Recent[bytes, str] = Recent(256)  # the first pages of a few lists are read again and again

    def make(self, context: str, position: object) -> str:
        """A cursor at a position (plain JSON) of the list that ``context`` names: tenant, filters, sort."""
        text = msgspec.json.encode((_digest(context), position))
        cursor = self._made.get(text)
        if cursor is None:
            short = text if len(text) < _LONG else zlib.compress(text, 9)
            cursor = self._signer.sign(urlsafe_b64encode(short).rstrip(b"=")).decode()
            self._made.add(text, cursor)
        return cursor

    def read(self, context: str, cursor: str) -> Any:
        """The position. Raises InvalidCursor for one that was edited, or made for another context."""
        try:
            text = self._signer.unsign(cursor) if len(cursor) <= _LONGEST else b""
            text = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
            made_for, position = msgspec.json.decode(text if text.startswith(b"[") else _expanded(text))
        except (BadSignature, ValueError, zlib.error):
            made_for, position = "", None
        if made_for != _digest(context):
            raise InvalidCursor(
                "This cursor belongs to another list, or is of an earlier version. Send it with its own filters and "
                "sort, or start from the first page."
            )
        return position


def _expanded(text: bytes) -> bytes:
    return zlib.decompressobj().decompress(text, _MOST)


@lru_cache(maxsize=256)
def _digest(context: str) -> str:
    """A short hash of a context: filters may be long, and a cursor must fit into a URL."""
    return hashlib.sha256(context.encode("utf-8", "surrogatepass")).hexdigest()[:32]

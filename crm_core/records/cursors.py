"""Cursors of lists: where the next page goes on, signed, and good only for the list they were made for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

import msgspec
from itsdangerous import BadSignature, Signer

from crm_core.errors import InvalidCursor
from crm_core.plugin.unit import IndexValue

Place = tuple[IndexValue, str]
"""Sort value and id of the last row of a page."""

MAX_CURSOR = 4096  # characters; a sort value has up to 254
_REFUSAL = "The cursor is not of this list: page on with the filters and sort that it was made with, or start anew."
_decode = msgspec.json.Decoder(tuple[str | int | bool | None, str]).decode


class Cursors:
    """Makes and reads cursors. ``secret_keys``: the instance's, the newest first: it signs, all of them verify."""

    def __init__(self, secret_keys: Iterable[bytes]) -> None:
        self._keys = list(reversed(tuple(secret_keys)))  # itsdangerous signs with the last

    def make(self, place: Place, bound_to: tuple[str, ...]) -> str:
        """The cursor that goes on after a place of the list that ``bound_to`` tells from all others."""
        text = base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=")
        return self._signer(bound_to).sign(text).decode()

    def read(self, cursor: str, bound_to: tuple[str, ...]) -> Place:
        """The place again. Raises InvalidCursor."""
        if len(cursor) > MAX_CURSOR or not cursor.isascii():
            raise InvalidCursor(_REFUSAL)
        try:
            text = self._signer(bound_to).unsign(cursor)
        except BadSignature:
            raise InvalidCursor(_REFUSAL) from None
        return _decode(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))

    def _signer(self, bound_to: tuple[str, ...]) -> Signer:
        salt = b"crm.records.cursor:" + hashlib.sha256(msgspec.json.encode(bound_to)).digest()
        return Signer(self._keys, salt=salt, digest_method=hashlib.sha256)

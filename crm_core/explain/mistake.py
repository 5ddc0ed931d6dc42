"""A mistake that senders make."""

from __future__ import annotations

import msgspec


class Mistake(msgspec.Struct, frozen=True):
    """``code`` is stable, ``words`` says what happened, ``mend`` what to do about it."""

    code: str
    words: str
    mend: str

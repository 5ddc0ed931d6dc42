"""Why a request was refused: a mistake of its sender."""

from __future__ import annotations

import msgspec


class Cause(msgspec.Struct, frozen=True):
    """``code`` is stable, ``words`` says what happened, ``fix`` what to do about it."""

    code: str
    words: str
    fix: str
